"""What each action unit looks like, in words: the raw material of the descriptions.

Every string is a template of `grammar.expand`: `[a|b]` is one of its alternatives. `{how}` takes
an intensity word ('slightly ') or nothing. None of them holds a word by which the FABA-Bench
scorings recognise an emotion, because any action unit may appear with any emotion.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AuPhrases:
    """Templates of one action unit.

    Attributes:
      clause: what is seen, a clause of four to seven words.
      brief: the same in two or three words, for faces with many action units.
      muscle: what contracts or relaxes (the cause), a clause.
      effect: what follows from it on the face, a clause.
      region: the part of the face: 'brows', 'eyes', 'nose' or 'mouth'.
      sided: whether the left and the right half can move by themselves.
    """

    clause: str
    brief: str
    muscle: str
    effect: str
    region: str
    sided: bool = True


AU_PHRASES: dict[int, AuPhrases] = {
    1: AuPhrases(
        'the inner [brows|brow ends|brow corners] are {how}[raised|lifted|drawn up]',
        'inner brows [raised|lifted]',
        'the inner part of the frontalis [contracts|shortens|tightens]',
        '[short|fine] [creases|lines] [form|appear] across the middle of the forehead',
        'brows',
    ),
    2: AuPhrases(
        'the outer [brows|brow ends|brow corners] are {how}[raised|lifted|arched]',
        'outer brows [raised|lifted]',
        'the outer part of the frontalis [contracts|shortens|tightens]',
        'the brows [arch|curve] and the skin [above|over] them [wrinkles|creases]',
        'brows',
    ),
    4: AuPhrases(
        'the brows are {how}[lowered|pulled down|pressed down] and [drawn together|knitted]',
        'brows [lowered|drawn down]',
        'the corrugator [contracts|shortens|tightens]',
        '[upright|vertical] [creases|furrows] [form|appear] between the brows',
        'brows',
    ),
    5: AuPhrases(
        'the upper [lids|eyelids] are {how}[raised|lifted|drawn up], [widening|opening] the eyes',
        'upper lids [raised|lifted]',
        'the levator of the upper lid [contracts|shortens|tightens]',
        'more of the white [above|over] the iris [shows|can be seen|is exposed]',
        'eyes',
    ),
    6: AuPhrases(
        'the cheeks are {how}[raised|lifted|pushed up] [toward|under] the eyes',
        'cheeks [raised|lifted]',
        'the outer ring of the orbicularis oculi [contracts|tightens]',
        "the lower lids [bulge|swell] and crow's feet [form|gather] at the eye corners",
        'eyes',
    ),
    7: AuPhrases(
        'the [lids|eyelids] are {how}[tightened|tensed|narrowed] [around|over] the eyes',
        'lids [tightened|narrowed]',
        'the inner ring of the orbicularis oculi [contracts|tightens]',
        'the eye openings [narrow|shrink] and the lower lids [straighten|flatten]',
        'eyes',
    ),
    9: AuPhrases(
        'the [nose|bridge of the nose] is {how}[wrinkled|scrunched|creased]',
        'nose [wrinkled|scrunched]',
        'the levator beside the nose [contracts|shortens|tightens]',
        '[creases|wrinkles] [run|form] along the nose and the nostrils [lift|rise]',
        'nose',
    ),
    10: AuPhrases(
        'the upper lip is {how}[raised|lifted|drawn up] [in the middle|toward the nose]',
        'upper lip [raised|lifted]',
        'the levator of the upper lip [contracts|shortens|tightens]',
        'the folds [beside|next to] the nose [deepen|bend] and the lip [curls|bows]',
        'mouth',
    ),
    11: AuPhrases(
        'the [folds|furrows] beside the nose are {how}[deepened|sharpened]',
        'nasal folds [deepened|sharpened]',
        'the smaller cheek muscle [contracts|tightens]',
        'the middle of the fold [turns|grows] [deeper|sharper]',
        'mouth',
    ),
    12: AuPhrases(
        'the [lip corners|mouth corners] are {how}[pulled|drawn|lifted] [up|upward|outward]',
        'lip corners [up|raised]',
        'the major zygomatic muscle [contracts|shortens|tightens]',
        'the [mouth widens|mouth curves upward] and the cheeks [fill out|round]',
        'mouth',
    ),
    13: AuPhrases(
        'the cheeks are {how}[puffed|rounded] above the [lip corners|mouth corners]',
        'cheeks [puffed|rounded]',
        'the levator of the mouth corner [contracts|tightens]',
        'the mouth corners [rise|lift] sharply and the cheeks [puff|round]',
        'mouth',
    ),
    14: AuPhrases(
        'the [lip corners|mouth corners] are {how}[tightened|pressed|pulled] [inward|into dimples]',
        'lip corners [tightened|dimpled]',
        'the buccinator [contracts|tightens]',
        '[dimples|small hollows] [form|appear] beside the mouth',
        'mouth',
    ),
    15: AuPhrases(
        'the [lip corners|mouth corners] are {how}[pulled|drawn|turned] [down|downward]',
        'lip corners [down|lowered]',
        'the depressor of the mouth corner [contracts|shortens|tightens]',
        'the mouth [bows|curves] downward and the skin [below|under] its corners [folds|bunches]',
        'mouth',
    ),
    16: AuPhrases(
        'the lower lip is {how}[pulled|drawn|dragged] [down|downward]',
        'lower lip [lowered|down]',
        'the depressor of the lower lip [contracts|shortens|tightens]',
        'the lower teeth or gums [show|come into view]',
        'mouth',
    ),
    17: AuPhrases(
        'the chin is {how}[pushed|drawn|raised] [up|upward] [against|toward] the lip',
        'chin [raised|pushed up]',
        'the mentalis [contracts|shortens|tightens]',
        'the lower lip [rises|pushes up] and the chin [dimples|wrinkles]',
        'mouth',
        sided=False,
    ),
    18: AuPhrases(
        'the lips are {how}[puckered|pursed] [forward|into a ring]',
        'lips [puckered|pursed]',
        'the lip incisive muscles [contract|tighten]',
        'the mouth [looks|turns] [small and round|narrow]',
        'mouth',
        sided=False,
    ),
    20: AuPhrases(
        'the lips are {how}[stretched|pulled|drawn] [sideways|toward the ears|horizontally]',
        'lips [stretched|widened]',
        'the risorius [contracts|shortens|tightens]',
        'the mouth [lengthens|widens] and the lips [flatten|thin out]',
        'mouth',
    ),
    22: AuPhrases(
        'the lips are {how}[funneled|pushed] [forward|outward]',
        'lips [funneled|forward]',
        'the orbicularis oris [contracts|tightens]',
        'the lips [flare|turn outward] and [round|open]',
        'mouth',
        sided=False,
    ),
    23: AuPhrases(
        'the lips are {how}[tightened|narrowed|drawn tight] [and thin|all around|at the rim]',
        'lips [tightened|narrowed]',
        'the orbicularis oris [contracts|tightens]',
        'the red of the lips [narrows|thins] and fine lines [form|appear] around it',
        'mouth',
        sided=False,
    ),
    24: AuPhrases(
        'the lips are {how}[pressed|squeezed|pushed] [together|against each other]',
        'lips [pressed|squeezed]',
        'the orbicularis oris [contracts|tightens]',
        'the mouth [forms|becomes] a [thin|straight] line',
        'mouth',
        sided=False,
    ),
    25: AuPhrases(
        'the lips are {how}[parted|separated|opened|apart]',
        'lips [parted|open]',
        'the muscles that close the lips [relax|let go|loosen]',
        'a gap [opens|appears|shows] between the upper and the lower lip',
        'mouth',
        sided=False,
    ),
    26: AuPhrases(
        'the jaw is {how}[dropped|lowered|let down], [opening|parting] the mouth',
        'jaw [dropped|lowered]',
        'the masseter [relaxes|lets go|loosens]',
        'the teeth [separate|part] and the lower face [lengthens|grows longer]',
        'mouth',
        sided=False,
    ),
    27: AuPhrases(
        'the mouth is {how}[stretched|pulled|forced] [wide open|far open]',
        'mouth stretched open',
        'the muscles [below|under] the jaw [contract|tighten]',
        'the jaw [drops|falls] far and the cheeks [flatten|hollow]',
        'mouth',
        sided=False,
    ),
    28: AuPhrases(
        'the lips are {how}[sucked|rolled|drawn] [inward|over the teeth]',
        'lips [sucked|rolled] in',
        'the orbicularis oris [contracts|tightens]',
        'the red of the lips [vanishes|disappears]',
        'mouth',
        sided=False,
    ),
    41: AuPhrases(
        'the upper lids {how}[droop|sag] over the eyes',
        'upper lids drooping',
        'the levator of the upper lid [relaxes|loosens]',
        'the eyes [look|appear] half [closed|shut]',
        'eyes',
    ),
    42: AuPhrases(
        'the eyes are {how}narrowed to [slits|thin slits]',
        'eyes narrowed',
        'the orbicularis oculi [contracts|tightens]',
        'only a thin [line|band] of each eye [shows|remains]',
        'eyes',
    ),
    43: AuPhrases(
        'the [eyes|eyelids|lids] are {how}[closed|shut|lowered fully]',
        'eyes [closed|shut]',
        'the levator of the upper lid [relaxes|lets go|loosens]',
        'the lashes [meet|touch] and the eyeballs are [covered|hidden]',
        'eyes',
    ),
    44: AuPhrases(
        'the eyes are {how}squinted with [raised|tight] lower lids',
        'eyes squinted',
        'the orbicularis oculi [contracts|tightens]',
        'the lower lids [rise|push up] and [bunch|crease]',
        'eyes',
    ),
    45: AuPhrases(
        'the [eyes|lids] are [caught in a blink|briefly closed]',
        'eyes blinking',
        'the levator relaxes while the orbicularis oculi [contracts|tightens]',
        'the eyes are [covered|hidden] for a moment',
        'eyes',
    ),
    46: AuPhrases(
        'one eye is {how}closed in a wink',
        'one eye winking',
        'the orbicularis oculi of one side [contracts|tightens]',
        'one eye [stays|remains] open while the other is [covered|hidden]',
        'eyes',
    ),
}

# fmt: off
RELATIONS: dict[tuple[int, ...], str] = {
    (1, 2): '[raise|lift|carry] the [whole|full|entire] brow [evenly|in one sweep|as one]',
    (1, 4): '[slant|tilt|angle] the brows [upward|up] [toward|at] the [middle|centre]',
    (1, 2, 5): '[open|stretch|widen] the [eye area|upper face] [from brow to lid|up to the brows]',
    (2, 5): '[open|widen|stretch] the eyes [below|under] the [arched|lifted|raised] brows',
    (4, 5): '[set|place|put] [wide|open] eyes [below|under|beneath] [lowered|heavy|dropped] brows',
    (4, 7): '[narrow|squeeze] the eyes [below|under|beneath] the [lowered|drawn|knitted] brows',
    (4, 9): '[crease|fold|bunch] the skin from the brows [down|along] to the [nose|nasal bridge]',
    (4, 15): '[bend|turn|pull] the face [down|downward] at [brow and mouth|brows and lips]',
    (4, 23): '[harden|tighten] the face from the [lowered|drawn] brows to the [thin|narrow] lips',
    (4, 24): '[harden|close] the face from the [lowered|drawn] brows to the [shut|pressed] lips',
    (1, 15): '[lift|raise] the inner brows [while|as] the mouth corners [sink|fall|drop]',
    (1, 20): '[stretch|draw] the face [up|upward] at the brow and [sideways|outward] at the lips',
    (5, 25): '[open|widen] the eyes and the [lips|mouth] [at once|at the same time|in step]',
    (5, 26): '[open|widen|stretch] the eyes [as|while] the [jaw|chin] [drops|falls|sinks]',
    (5, 27): '[open|widen|stretch] eyes and mouth [to the full|as far as they go|all the way]',
    (5, 20): '[widen|stretch] the eyes [upward|up and down] and the mouth [sideways|outward]',
    (6, 7): '[narrow|squeeze] the eyes from [below|the cheeks] and [from the lids|all around]',
    (6, 12): '[lift|raise|push] the cheeks above the [upturned|rising|lifted] [mouth|lip corners]',
    (6, 10): '[lift|raise|push] the [middle face|midface] [toward|up to] the [eyes|lower lids]',
    (7, 9): '[squeeze|bunch] the inner eye corners [toward|into] the [creased|wrinkled] nose',
    (7, 12): '[narrow|tighten] the eyes [while|as] the [lip|mouth] corners [rise|climb|lift]',
    (9, 10): '[pull|draw|drag] the upper lip [toward|up to] the [creased|wrinkled|scrunched] nose',
    (7, 10): '[narrow|tighten] the eyes [while|as] the upper lip [rises|curls|lifts]',
    (10, 17): '[push|press|bring] both lips [up|upward] [from above and below|at the same time]',
    (10, 25): '[bare|show|expose] the [teeth|upper teeth] [below|under] the [raised|lifted] lip',
    (12, 14): '[deepen|sharpen] the [corners|ends] of the [mouth|lips] as they [rise|climb|lift]',
    (12, 25): '[open|part] the lips [while|as] the [lip|mouth] corners [rise|climb|lift]',
    (12, 15): '[work|pull|act] against each other at the [lip corners|mouth corners]',
    (15, 17): '[bow|curve|bend] the mouth [down|downward] above the [raised|bunched|lifted] chin',
    (17, 23): '[squeeze|press|tighten] the lips [over|above] the [raised|bunched|lifted] chin',
    (17, 24): '[squeeze|press|close] the lips [over|above] the [raised|bunched|lifted] chin',
    (20, 25): '[pull|stretch|draw] the [open|parted] lips [wide|sideways|apart and outward]',
    (23, 24): '[thin|flatten|harden] the [closed|shut] lips to a [narrow|straight|tight] line',
    (25, 26): '[open|unlock|loosen] the mouth [as|while] the jaw [drops|falls|sinks]',
    (25, 27): '[open|stretch] the mouth [wide|far] [as|while] the jaw [drops|falls]',
}
# fmt: on
"""Sets of action units that act on each other, and what they do together (a plural verb phrase)."""
