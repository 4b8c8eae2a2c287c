"""The keeper: the only process with keys. Stages: parse, prove, judge, show, sign, verify, log."""
