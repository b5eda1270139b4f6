"""The stream job: events in, judgement, effects out."""
