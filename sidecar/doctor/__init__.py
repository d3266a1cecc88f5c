"""`openai-moodle-sidecar doctor`: looks at everything that can be looked at, and says what to do. Changes nothing."""
