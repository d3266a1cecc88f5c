"""`openai-moodle-sidecar doctor`: checks of the whole installation, each with its remedy. Changes nothing."""
