from emola_jax.metrics.strict_1.prose import statements


def test_sentences_end_before_a_blank_only():
    text = 'He is 2.5 m away. He is sad! Yes.\n\nA new line'
    assert statements(text) == ['He is 2.5 m away', 'He is sad', 'Yes', 'A new line']


def test_questions_state_nothing():
    assert statements('Is he sad? He is. Sad? Perhaps.') == ['He is', 'Sad', 'Perhaps']


def test_bullets_and_numbered_entries_are_statements():
    expected = ['AU4 low', 'AU7 tight']
    assert statements('* AU4 low\n* AU7 tight') == expected
    assert statements('- **AU4** low - AU7 tight') == expected
    assert statements('1. AU4 low 2. AU7 tight') == expected
    assert statements('AU4 - Brow Lowerer') == ['AU4 - Brow Lowerer']


def test_a_number_that_ends_a_sentence_numbers_no_entry():
    assert statements('These are AUs 4, 7. AU12 is seen.') == ['These are AUs 4, 7', 'AU12 is seen']


def test_mark_up_goes_and_spellings_are_plain():
    assert statements('`AU_12` and __A.U. 6__, AU no. 4') == ['AU_12 and AU 6, AU 4']
