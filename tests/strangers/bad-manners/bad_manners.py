"""Loads as it should, and misbehaves when it is run."""

import os

import ganprobe as gp


class Raising(gp.Analysis[gp.Params]):
    """Divides by how many pixels are darker than black."""

    name, summary, Params = "raising", "Divides by zero.", gp.Params

    def run(self, context, params):
        images = context.probe.images(context.generator.sample(4, seed=context.seed))
        n_dark = int((context.generator.to_unit_range(images) < 0).sum())
        return gp.Result(findings=[f"One in {len(images) // n_dark}."])


class Clinging(gp.Analysis[gp.Params]):
    """Leaves a hook on a layer, another in train mode, and the working folder elsewhere."""

    name, summary, Params = "clinging", "Leaves things behind.", gp.Params

    def run(self, context, params):
        kept = []
        context.generator.module.conv2.register_forward_hook(lambda *given: kept.append(given))
        context.generator.module.conv3.train()
        os.chdir(os.sep)
        return gp.Result(findings=["Nobody will notice."])


class Faulty(gp.Measure):
    """Forgets which axis is which."""

    name, summary, columns = "faulty", "fails on every image", ("fault",)

    def measure(self, images):
        return images.reshape(-1, 7, 11, 13)


@gp.hookimpl
def register_analyses():
    return [Raising, Clinging]


@gp.hookimpl
def register_measures():
    return [Faulty()]
