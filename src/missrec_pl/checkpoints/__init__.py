"""What a checkpoint holds; how it is read, transferred and continued from. No Lightning, no Hydra."""
