"""Settings: what there is to set, where the values come from, and who said so."""
