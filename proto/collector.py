"""How often Python looks for objects that hold each other in a circle, in every service."""

import gc


def calm_collector(new_objects: int) -> None:
    """Call it once, when all is imported.

    By itself Python looks each 700 objects, and through ever more of the memory. Our requests, viewers and streams
    leave no circles behind; looking for them took a sixth of a busy service's CPU, and stopped it for 60 ms now and
    then. From here on what exists (all modules) is never looked through again, and the rest each time that so many
    objects more are there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(new_objects)
