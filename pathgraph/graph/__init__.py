"""Networks as explicit DAGs: their structure, their values, and how they come in and go out."""
