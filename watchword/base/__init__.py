"""What everything stands on: clock, entropy, configuration, errors and limits. Imports nothing of ours."""
