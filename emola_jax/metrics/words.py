"""English words for the seven emotions that several readers of answers share."""

from __future__ import annotations

SYNONYMS: dict[str, tuple[str, ...]] = {
    'happiness': (
        'happiness', 'happy', 'smiling', 'smile', 'pleasant', 'content', 'contentment', 'relaxed',
        'relaxation', 'cheerful', 'joy', 'amusement', 'amused', 'positivity', 'positive',
        'lightheartedness', 'joyful', 'friendly', 'warmth', 'bright',
    ),
    'sadness': (
        'sadness', 'crying', 'distress', 'concern', 'discomfort', 'anguish', 'somber',
    ),
    'surprise': (
        'surprise', 'surprised', 'startled', 'puzzled', 'astonishment', 'disbelief', 'wonder',
        'curiosity', 'curious', 'confusion', 'bewilderment', 'skepticism', 'excitement',
        'uncertainty',
    ),
    'anger': (
        'anger', 'mad', 'irate', 'outraged', 'agitation', 'irritated', 'enraged', 'annoyed',
        'incensed', 'serious', 'frustration', 'displeased', 'stern',
    ),
    'neutral': (
        'neutral', 'neutrality', 'calm', 'contemplative', 'concerned', 'thoughtful', 'focused',
        'solemn', 'mild',
    ),
    'disgust': (
        'disgust', 'distaste', 'disgusted', 'discomfort', 'displeasure', 'displeased',
        'disapproval', 'disdain', 'contempt',
    ),
    'fear': (
        'fear', 'shock', 'anxiety', 'apprehension', 'tension', 'panic', 'alertness', 'focus',
        'worry', 'alarm', 'curiosity', 'contemplation',
    ),
}  # fmt: skip
"""Words that the released script counts for each emotion, in its order of the emotions."""

NAMING_WORDS: dict[str, tuple[str, ...]] = {
    'happiness': (
        'happiness', 'happy', 'happily', 'joy', 'joyful', 'joyous', 'delighted', 'delight',
        'elated', 'gleeful',
    ),
    'sadness': (
        'sadness', 'sad', 'sadly', 'sorrow', 'sorrowful', 'unhappy', 'unhappiness', 'grief',
        'melancholy', 'heartbroken',
    ),
    'surprise': ('surprise', 'surprised', 'astonished', 'astonishment', 'amazed', 'amazement'),
    'anger': ('anger', 'angry', 'angrily', 'furious', 'fury', 'rage', 'infuriated'),
    'neutral': ('neutral', 'neutrality', 'emotionless', 'expressionless'),
    'disgust': ('disgust', 'disgusted', 'revulsion', 'repulsed', 'revolted'),
    'fear': (
        'fear', 'fearful', 'afraid', 'scared', 'frightened', 'terrified', 'terror', 'horrified',
    ),
}  # fmt: skip
"""Words that name an emotion outright; the strict scoring puts them before the synonyms."""
