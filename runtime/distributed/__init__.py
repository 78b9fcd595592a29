"""Several processes that train one run: how they find one another, agree, and end. Nothing here trains.

`world.py` is one rank's end of it, `launcher.py` starts ranks by torch's elastic launcher.
"""
