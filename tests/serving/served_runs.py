"""The short runs whose bundles are looked at: every network of this package, in each of its settings."""

SMALL = ("model.hidden_size=16", "data.batch_size=32", "baselines.names=[]", "test=false")
SHORT = ("trainer=cpu", "trainer.max_epochs=1", "+trainer.limit_train_batches=2", "callbacks.progress=null")
INNER = ("model.inner_size=16",)
HEADS = (*INNER, "model.num_heads=2")
WITH_IDS = ("setting=transductive",)
RUNS = {
    "tuned": ("model=missrec_tuned", *WITH_IDS, *HEADS, "model.collaborative=4", "features.whitening=0.5"),
    "sasrec": ("model=sasrec", *INNER),
    "tuned_inductive": ("model=missrec_tuned", "scorers=rich", *HEADS, "model.collaborative=4"),
    "released": ("model=missrec_released", *WITH_IDS, *HEADS),
    "released_inductive": ("model=missrec_released", "model.sequence_fusion=contextual", *HEADS),
    "compat": ("model=missrec_compat", *HEADS),
    "paper": ("model=missrec", *HEADS),
    "paper_transductive": ("model=missrec", *WITH_IDS, *HEADS),
    "context_encoder": ("experiment=table5/context_encoder", *HEADS),
    "interest_encoder": ("experiment=table5/interest_encoder", *HEADS),
    "id_only": ("experiment=figure4/id_only", *HEADS),
    "sasrec_text": ("model=sasrec_text", *INNER),
    "gsasrec": ("model=gsasrec", *HEADS),
    "zesrec": ("model=zesrec", *HEADS),
    "bert4rec": ("model=bert4rec", *HEADS),
    "gru4rec": ("model=gru4rec",),
    "ligr": ("model=ligr", *HEADS),
    "hstu": ("model=hstu", "model.num_heads=2"),
    "unisrec": ("model=unisrec", *HEADS),
    "unisrec_transductive": ("model=unisrec", *WITH_IDS, *HEADS),
    "vqrec": ("model=vqrec", "model.code_dim=4", "model.code_cap=16", *HEADS),
    "fdsa": ("model=fdsa", *HEADS),
    "s3rec": ("model=s3rec", *HEADS),
}
"""Overrides of each run."""
PRETRAINED = {
    "s3rec_pretrained": ("phase=pretrain", "model=s3rec", "objective=s3rec", "model.num_clusters=8", *HEADS)
}
"""Runs of several domains."""
QUICK = ("tuned", "sasrec")
"""Those that the default tests look at."""
BASES = ("WithoutDecoder",)
"""What other networks are made of, and no config names."""
