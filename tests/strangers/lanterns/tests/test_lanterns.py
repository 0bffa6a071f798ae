"""The tests that every plugin's things pass, on ours."""

from lanterns.plugin import Glow, Lit, Warmth, register_generators

from ganprobe.testing import AnalysisTests, GeneratorTests, MeasureTests, SegmenterTests


class TestGlow(AnalysisTests):
    analysis = Glow


class TestWarmth(MeasureTests):
    measure = Warmth()


class TestLit(SegmenterTests):
    segmenter = Lit()


class TestLanterns(GeneratorTests):
    loader = register_generators()[0]
