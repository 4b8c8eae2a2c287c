"""The stage for demo and system tests: a real node, real lines, real appliances, scripted owners. Never shipped."""
