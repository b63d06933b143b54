"""The hand-tuned numbers of the fusion by rules (`rule_reference`), each with its unit and its reason.

They were chosen for the first release's student, by figures on `tno_dev` and `msrs_dev`. The student that ships has
none of them; it learns its faithful end from a fusion with them. "Levels" are luminance in [0, 1], and "contrasts" are
mean deviations of cells from a base of σ 8 pixels, in levels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RuleConfig:
    """Attributes, of both ends:
        choice: log-odds a unit of log-activity. With 10, a source of twice the activity has nearly all of the details:
            a mean of two sources' details has the contrast of neither.
        quiet: levels of activity that do not count; 0.3 of 255, so that rounding decides nothing.
        doubt: log-odds in favour of the brighter source; 8 outweighs activities up to a factor of 2.2. It brought 0.4
            of MI, and 0.01 of Qabf on MSRS.
        alike: levels of difference over which `doubt` rises; 8 of 255, so that noise does not flip it.
        shapes: share of the darker source's large shapes that is added to the base. Without them TNO's SCD is 1.56.
        faint: levels (11 of 255) that are taken off a shape before. With 0, TNO's MI falls to 2.7.
        room: contrasts by which the brighter base makes room for the darker source's details; over 1, since peaks are
            higher than the mean.
        headroom: contrasts that a base stays below white, for the same reason.

    Of the faithful end:
        larger: share of the larger source, cell by cell, in base and middle details; the rest keeps the boundaries
            between sources smooth. It brought 0.1 of MI and 0.02 of SCD.
        blinded: share of `larger` that is lost a level by which a base exceeds its `headroom`. 60 is all of it at 4 of
            255: a base that is white beyond its details is of a source that sees nothing.

    Of the vivid end:
        more_headroom: contrasts on top of `headroom`, since details are raised.
        lift: exponent of the base; 0.65 brings a level of 25 to 56 of 255.
        equalise, contrast: shares of a place's rank among its surroundings, and of its difference from their mean.
        kept: share of its lifted brightness that a dark place in bright surroundings keeps: none turns black.
        inner_gain, middle_gain: share that is added to the gain of details inside of cells, and between cells and base.
        noise: levels of activity at which half of that is added; 2.5 of 255, so that noise is hardly raised.
        ranks: number of levels of the local histograms, between which ranks are interpolated.
        wide, reach: cells of 32 pixels, across and as σ, of the surroundings: 352 pixels, σ 74.
    """

    choice: float = 10.0
    quiet: float = 0.0012
    doubt: float = 8.0
    alike: float = 0.03
    shapes: float = 1.0
    faint: float = 0.045
    room: float = 1.3
    headroom: float = 1.65
    larger: float = 0.7
    blinded: float = 60.0
    more_headroom: float = 0.55
    lift: float = 0.65
    equalise: float = 0.3
    contrast: float = 0.8
    kept: float = 0.7
    inner_gain: float = 1.0
    middle_gain: float = 0.7
    noise: float = 0.01
    ranks: int = 8
    wide: int = 11
    reach: float = 2.3
