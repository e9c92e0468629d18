"""Encoders: frozen models that turn item texts into features. CLIP's text and image towers will stand here too."""
