"""In which of twelve ways two calls are alike in size: how close in input, and how close in output."""

from math import exp, log
from typing import Final

from detectors.contract import Call, Scene
from detectors.row import Floats, floats

# Inputs are compared by exact, 0.5 %, 2 % and 10 %, three ways each by their outputs.
_INPUT_EXACT: Final = 0.0015
_INPUT_CLOSE: Final = 0.005
_INPUT_NEAR: Final = 0.02
_INPUT_FAR: Final = 0.1
_OUTPUT_EXACT: Final = 0.03
_OUTPUT_NEAR: Final = 0.2
_INPUTS: Final = floats(_INPUT_EXACT, _INPUT_CLOSE, _INPUT_NEAR, _INPUT_FAR)
_OUTPUTS: Final = floats(_OUTPUT_EXACT, _OUTPUT_NEAR, 0.7)
_NEAR: Final = 6
FAR: Final = 9
UNLIKE: Final = 12
# Below this, two inputs that grow by the same amount are alike by chance.
_GROWTH_MIN_TOKENS: Final = 12


def nearest(inputs: Floats, outputs: Floats, scene: Scene) -> tuple[int, int]:
    """Tell how the call is like that of the latest whose input is nearest, and by how much it grew if it grows.

    `inputs` and `outputs` are logarithms. An input that grows by the same amount twice in a row is as good as one
    that stays.
    """
    log_input = scene.log_input
    if len(inputs) > 1 and inputs[-2] < inputs[-1] < log_input - _INPUT_CLOSE:
        tokens = scene.call.input_tokens
        growth = tokens - int(exp(inputs[-1]) + 0.5) + 1
        if abs(exp(inputs[-1]) - exp(inputs[-2]) - growth) < 1.5 + 0.01 * growth and growth >= _GROWTH_MIN_TOKENS:
            return alike(log_input, outputs[-1], scene), growth
    least, at = _INPUT_FAR, -1
    for i in range(len(inputs) - 1, -1, -1):
        apart = abs(inputs[i] - log_input)
        if apart < least:
            least, at = apart, i
    return (alike(inputs[at], outputs[at], scene) if at >= 0 else UNLIKE), 0


def telling(call: Call, kind: int) -> float:
    """Return how many nats it can tell at most that two calls are alike in one of those ways; see `telling_at`."""
    width, height = (_INPUT_EXACT, _OUTPUT_EXACT) if kind < _NEAR else (_INPUTS[kind // 3], _OUTPUTS[kind % 3])
    return telling_at(call, width, height)


def telling_at(call: Call, width: float, height: float) -> float:
    """Return how many nats it can tell at most that two calls are that close: few tokens are alike by chance.

    `width` and `height` are distances of the logarithms of inputs and of outputs. What an honest template fills in
    makes its input vary by about 30 % and its output by about 70 %; a token more or less, or what counts as exact, is
    the grain.
    """
    grains = 0.15 / max(width, 1.2 / (call.input_tokens + 1.0))
    return 0.8 * log(1.0 + grains * 0.35 / max(height, 1.2 / (call.output_tokens + 1.0)))


def alike(log_input: float, log_output: float, scene: Scene) -> int:
    """Return in which of twelve ways the call is like those sizes; one token more or less is still exact."""
    apart = abs(scene.log_input - log_input)
    if apart > _INPUT_FAR:
        return UNLIKE
    call = scene.call
    exact = max(_INPUT_EXACT, 1.2 / (call.input_tokens + 1.0))
    kind = 0 if apart <= exact else 3 if apart <= _INPUT_CLOSE else 6 if apart <= _INPUT_NEAR else 9
    apart = abs(scene.log_output - log_output)
    exact = max(_OUTPUT_EXACT, 1.2 / (call.output_tokens + 1.0))
    return kind + (0 if apart <= exact else 1 if apart <= _OUTPUT_NEAR else 2)
