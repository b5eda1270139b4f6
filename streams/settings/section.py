"""What every part of the settings shares: frozen, no unknown keys, paths relative to the file."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

BASE_FOLDER = "base_folder"
"""Key of the validation context: the folder that relative paths start from."""


class Section(BaseModel):
    """A frozen group of settings that refuses keys it doesn't know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        # Default sections too must learn the folder that their paths start from.
        validate_default=True,
        revalidate_instances="always",
    )


def _from_base(path: Path, info: ValidationInfo) -> Path:
    path = path.expanduser()
    base = (info.context or {}).get(BASE_FOLDER)
    return base / path if base is not None else path


def _is_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("write a whole address, such as https://example.com/path")
    return text


FilePath = Annotated[Path, AfterValidator(_from_base)]
Url = Annotated[str, AfterValidator(_is_url)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
