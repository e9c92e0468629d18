"""Encoders: frozen models that turn what is known of items into features."""
