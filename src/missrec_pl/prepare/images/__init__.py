"""Items' pictures by address: polite, bounded, resumable."""
