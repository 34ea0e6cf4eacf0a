"""ai-engine: stores operations documents by passage and finds the passages that answer a question."""
