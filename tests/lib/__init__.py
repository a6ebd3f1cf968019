"""What the black-box tests share: starting the built binary, talking to it, building OTLP messages."""
