"""From raw data to domain folders: ``python -m missrec_pl.prepare <command>``.

``commands`` holds one module for each command, ``encoders`` the models that turn texts (later images) into
features.
"""
