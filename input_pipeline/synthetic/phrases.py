"""Templates around the action units: instructions, openings, conclusions, faces at rest.

Strings are templates of `grammar.expand`. A conclusion may use the words by which the FABA-Bench
scorings recognise its own emotion, and those of no other.
"""

from __future__ import annotations

EMOTION_INSTRUCTIONS: tuple[str, ...] = (
    'What emotion does this face show?',
    'Which emotion is conveyed by this face?',
    'Describe the emotion of the person in the image.',
    'What is this person feeling, judging by the face?',
    'Which emotion can be read from this expression?',
    'Explain which emotion the face expresses and why.',
    'How does the person in the picture feel?',
    'Name the emotion in this image and give the facial cues.',
    'What does the facial expression say about the emotion?',
    'Can you tell the emotion from this face?',
    'Identify the emotional state of this person.',
    'Which feeling is visible in the face?',
    'What emotional state does the expression suggest?',
    'Look at the face and describe its emotion.',
    'Please describe the feeling that this face conveys.',
    'What mood does the person seem to be in?',
    'Tell me the emotion of this face, with reasons.',
    'Which emotion best fits this facial expression?',
    'Analyse the emotion shown by the person.',
    'What do the facial cues reveal about the emotion?',
    'Give a short description of the emotion in this face.',
    'From the expression alone, what is the emotion?',
    'Interpret the expression of the person in the photo.',
    'What emotion would you assign to this face?',
    'Judge the emotion of this face and justify it.',
    'Which emotion is the person in the photo expressing?',
    'How would you describe the emotion on this face?',
    'What feeling do the brows, eyes and mouth express?',
    'Characterise the emotional expression in the image.',
    'State the emotion of this face and what shows it.',
    'What inner state does this face reflect?',
    'Please identify the emotion and the cues behind it.',
)

AU_INSTRUCTIONS: tuple[str, ...] = (
    'Which action units are active in this face?',
    'List the facial action units in this image.',
    'What action units can be seen here?',
    'Describe the facial movements by their action units.',
    'Which FACS action units does this face show?',
    'Name the active action units and describe each.',
    'What are the action units of this expression?',
    'Identify the facial action units and how they relate.',
    'Code this face with FACS action units.',
    'Which facial muscles act here, as action units?',
    'Give the action units of the person in the picture.',
    'Analyse this face in terms of action units.',
    'Can you list the action units of this face?',
    'What facial action units are present in the photo?',
    'Please write down every active action unit.',
    'Describe which action units make up this expression.',
    'Which action units explain how this face looks?',
    'Enumerate the action units that are visible.',
    'Look at the face and report its action units.',
    'What does a FACS coding of this face contain?',
    'Tell me the action units, with a short description.',
    'Break the expression down into action units.',
    'Which units of the FACS are seen in the image?',
    'Report the facial actions in ascending order.',
    'What movements of brows, eyes and mouth are active?',
    'Detect the action units in this picture.',
    'Explain the facial action units shown by the person.',
    'Which AUs are activated in this image?',
    'List all AUs of this face.',
    'Which AUs can you recognise, and what do they do?',
    'Give a FACS description of the face.',
    'Please name and describe the AUs in this photo.',
)

EMOTION_NAMING: dict[str, str] = {'neutral': 'a neutral [expression|look|face|state]'}
"""How an opening names an emotion; the class word itself where none is given."""

EMOTION_OPENINGS: tuple[str, ...] = (
    'the [person|subject|individual] [in the image|in this image|in the picture|in the photo] '
    '[shows|expresses|conveys|displays|exhibits|presents] {emotion}',
    '[this|the] [image|picture|photo|portrait] [shows|depicts|captures|presents] '
    'a [person|face|subject|individual] with {emotion}',
    '[this|the] [person|face|subject|individual] [shows|expresses|conveys|displays|exhibits] '
    '{emotion} [here|in this image|in the picture]',
    'the [expression|emotion] [seen|visible|displayed|shown] [on|in] [this|the] face '
    '[can be read as|is best described as|comes across as|appears to be] {emotion}',
)
"""First sentences, both forms; `{emotion}` is the naming."""

CUE_LEADS: tuple[str, ...] = ('', '', 'here, ', 'in this face, ', 'in detail, ', 'up close, ')

CONCLUSION = (
    '[together|overall|taken together|as a whole|in sum|all in all], [these|the] '
    '[cues|signs|features|details] [suggest|indicate|point to|reveal|speak of|hint at] {mood}'
)
"""Last sentence of an emotion description; `{mood}` is one of `MOODS`."""

MOODS: dict[str, str] = {
    'happiness': 'a [joyful|cheerful|sunny|glad|delighted|merry] [mood|state|spirit|moment] '
    '[after|over|because of|thanks to] [good|welcome|lovely|great] [news|company|fun|luck|fortune]',
    'sadness': 'a [heavy|downcast|sorrowful|gloomy|dejected|mournful] [mood|state|heart|spirit] '
    '[after|over|because of|due to] a [painful|heavy|recent|bitter|hard] '
    '[loss|farewell|setback|disappointment|blow]',
    'surprise': 'a [startled|astonished|amazed|stunned|staggered] [state|reaction|response|moment] '
    '[at|before|because of|due to] [some|an] [unexpected|unforeseen|incredible] '
    '[event|turn|sight|reply|outcome]',
    'anger': 'a [hostile|heated|fierce|furious|wrathful] [mood|state|temper|attitude] '
    '[at|over|because of|due to] [some|an] [unfair|upsetting|offensive|unjust] '
    '[insult|act|slight|remark|provocation]',
    'neutral': 'a [calm|composed|even|settled|level|quiet] [mood|state|mind|bearing|temper] '
    '[during|amid|within|through] an [ordinary|uneventful|everyday|average] [moment|day|hour]',
    'disgust': 'a [repelled|revolted|repulsed|averse|sickened] [state|reaction|response|attitude] '
    '[at|before|because of|due to] [some|a] [foul|rotten|spoiled|vile|filthy] '
    '[smell|taste|sight|odor|dish]',
    'fear': 'a [frightened|scared|anxious|terrified|panicked] [state|reaction|mood|response] '
    '[at|before|because of|due to] [some|a] [looming|near|sudden|hidden|grave] '
    '[threat|danger|peril|hazard|menace]',
}

RESTING_PARTS: tuple[tuple[frozenset[int], str], ...] = (
    (
        frozenset({1, 2, 4}),
        'the [brows|eyebrows|brow lines] [rest|lie|sit|stay] [level|flat|evenly|in place]',
    ),
    (frozenset({1, 2, 4}), 'the forehead [is|stays|looks|remains] [smooth|flat|even|uncreased]'),
    (
        frozenset({5, 6, 7, 41, 42, 43, 44, 45, 46}),
        'the [eyes|lids|eyelids] [are|stay|rest|remain] [evenly open|steady|open as usual|soft]',
    ),
    (
        frozenset({6, 12, 13}),
        'the [cheeks|cheek muscles] [are|stay|hang|rest] [flat|loose|soft|slack]',
    ),
    (
        frozenset({9, 10, 12, 14, 15, 16, 18, 20, 22, 23, 24, 25, 26, 27, 28}),
        'the [lips|two lips] [rest|lie|meet|touch] [together|lightly|loosely|softly]',
    ),
    (
        frozenset({10, 12, 14, 15, 16, 18, 20, 22, 23, 24, 25, 26, 27, 28}),
        'the [mouth|lip line] [is|stays|rests|remains] [closed|straight|level|even]',
    ),
    (
        frozenset({16, 17, 25, 26, 27}),
        'the [jaw|chin|lower jaw] [hangs|rests|stays|remains] [loose|at rest|in place|quiet]',
    ),
)
"""Parts of a face at rest: the action units that would contradict it, and what is seen."""

FAINT_CUES: tuple[str, ...] = (
    'the [brows|eyebrows] [move|shift|change] [only|just] [slightly|a little|faintly]',
    'the [eyes|eyelids] [move|shift|change] [only|just] [slightly|a little|faintly]',
    'the [mouth|lips] [hardly|barely|scarcely] [move|leave their place|change their shape]',
)
"""Cues of an expression so weak that no action unit counts as present."""

NO_AU_OPENING = (
    'no [|facial ][action unit|AU] is [active|visible|present|activated|engaged] in '
    '[this|the] [face|image|picture|photo]'
)
NO_AU_CLOSING = (
    '[since|as|because] [all|the] [facial|face] muscles [are|stay|remain|lie] '
    '[at rest|slack|passive|idle|inactive], the [whole|entire] [face|expression] '
    '[looks|appears|stays|remains|seems] [even|still|unmoved|quiet|steady|plain]'
)

LEVELS: tuple[tuple[float, str], ...] = (
    (0.5, '[slightly|faintly|weakly] '),
    (0.8, '[clearly|visibly|plainly] '),
    (float('inf'), '[strongly|markedly|firmly] '),
)
"""Intensity below the bound -> the word put before the verb, in the long form."""

COUNTS: tuple[str, ...] = (
    'no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven',
    'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen',
    'twenty',
)  # fmt: skip

RELATION_FRAMES: tuple[str, ...] = (
    '[together|jointly|as a pair|in combination|side by side|acting together|'
    'hand in hand|in unison|in concert], '
    '{aus} {effect}',
    '{aus} [work|act|combine|join|unite|interact|cooperate] to {effect}',
)

REGION_FRAME = (
    '{first} [shapes|moves|governs|drives|changes] the {region} [while|as|and] '
    '{second} [shapes|moves|governs|drives|changes] the {other}'
)
REGION_NAMES: dict[str, str] = {
    'brows': '[brows|brow line|forehead|upper face]',
    'eyes': '[eyes|lids|eye area|eye region]',
    'nose': '[nose|nose area|middle of the face]',
    'mouth': '[mouth|lips|mouth area|lower face]',
}

STRONGEST: tuple[str, ...] = (
    '{strongest} [is|looks|appears|seems|remains] the '
    '[strongest|clearest|most marked|most visible|most striking|most intense] '
    '[of|among] [the|these|all] {count} [units|actions|movements|contractions]',
    '{strongest} [stands out|shows|can be seen|comes through] '
    '[most|most clearly|best|above all|most strongly] '
    '[of|among] [the|these|all] {count} [units|actions|movements|contractions]',
)
STRONGER: tuple[str, ...] = (
    '{strongest} [is|looks|appears|seems|remains] the '
    '[stronger|clearer|more marked|more visible|more striking|more intense] '
    '[of|among] [the|these] two [units|actions|movements|contractions]',
    '{strongest} [stands out|shows|can be seen|comes through] '
    '[more|more clearly|better|more strongly] '
    '[of|among] [the|these] two [units|actions|movements|contractions]',
)
LEADS: tuple[tuple[float, str], ...] = (
    (0.08, '[just|barely|hardly|narrowly] ahead of {second}'),
    (0.25, '[|somewhat |rather |plainly ]ahead of {second}'),
    (float('inf'), '[well|far|clearly|widely] ahead of {second}'),
)
"""Intensity by which the strongest unit leads, below the bound -> how it compares."""

SINGLE = (
    '[since|as|because] {au} [acts|works|appears|shows] [alone|by itself|on its own|in isolation], '
    '[the other|all other|the remaining] [features|parts|regions|areas] '
    '[stay|remain|keep|look] [still|quiet|unmoved|passive] and the [change|effect|movement] '
    '[stays|remains|is] [limited|confined|restricted] to the {region}'
)

LONG_OPENING = (
    '[this|the] [image|picture|photo|portrait] [depicts|shows|presents|captures] a '
    '[person|face|subject|individual] [displaying|showing|exhibiting|with] '
    '{count} [|facial ]action {units}, {span}, [centered|mostly|mainly|seen] [at|around] '
    'the {region}, [|briefly |clearly |fully ][listed|described|set out|explained] '
    '[one by one|by number|in order|in turn] [below|here|as follows]:'
)
LONG_CAUSE = '[because|since|as] {muscle}'
LONG_EFFECT = '[as a result|in turn|consequently|because of this|hence], {effect}'
LONG_CLOSING = (
    '[seen|viewed|taken|read] [as a whole|together|in context|in combination], the '
    '[pattern|configuration|arrangement|set] [arises|results|comes|stems] from '
    '[muscles|parts|regions] that [depend on|influence|build on] [each other|one another]'
)
