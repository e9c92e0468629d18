"""The short runs whose bundles are looked at."""

SMALL = ("model.hidden_size=16", "model.inner_size=16", "data.batch_size=32", "baselines.names=[]", "test=false")
SHORT = ("trainer=cpu", "trainer.max_epochs=1", "+trainer.limit_train_batches=2", "callbacks.progress=null")
RUNS = {
    "released": ("model=missrec_released", "setting=transductive", "model.num_heads=2"),
    "tuned": (
        "model=missrec_tuned",
        "setting=transductive",
        "model.num_heads=2",
        "model.collaborative=4",
        "features.whitening=0.5",
    ),
    "paper": ("model=missrec",),
    "sasrec": ("model=sasrec",),
}


SLOW = ("released", "paper")
