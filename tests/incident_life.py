"""Short words for the incidents' tests."""

from alerts.decision import Action, Decision, Evidence, incident_id


def decision(name: str = "a", action: Action = Action.KILL, at_s: float = 100.0, **more: object) -> Decision:
    scope = name if ":" in name else f"agent:{name}"
    detector = str(more.pop("detector", "surge"))
    window_s = float(str(more.pop("window_s", 60.0)))
    fields: dict[str, object] = {
        "reason": f"{scope} spends too much",
        "evidence": Evidence(team=str(more.pop("team", "")), agent=name, seen_usd_per_min=10.0, usual_usd_per_min=1.0),
        **more,
    }
    named = incident_id(scope, detector, window_s)
    return Decision(
        at_s=at_s,
        scope=scope,
        action=action,
        incident_id=named,
        detector=detector,
        **fields,  # type: ignore[arg-type]
    )
