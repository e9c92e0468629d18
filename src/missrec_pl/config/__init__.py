"""All that knows OmegaConf: what a config may say, and what is refused before anything is built."""
