from brackets import fault


def test_a_text_without_brackets_has_no_fault() -> None:
    assert fault("") == -1
    assert fault("plain words") == -1


def test_pairs_and_nested_pairs_have_no_fault() -> None:
    assert fault("a(b[c]{d})()") == -1


def test_a_bracket_that_closes_nothing_is_the_fault() -> None:
    assert fault("ab)") == 2


def test_a_bracket_of_the_wrong_kind_is_the_fault() -> None:
    assert fault("{[}]") == 2


def test_an_open_bracket_at_the_end_is_the_fault() -> None:
    assert fault("x(") == 1


def test_of_several_open_ones_the_innermost_is_the_fault() -> None:
    assert fault("([{}") == 1


def test_the_first_of_two_faults_counts() -> None:
    assert fault("a]b)") == 1


def test_a_bracket_after_a_backslash_does_not_count() -> None:
    assert fault("(\\))") == -1
    assert fault("\\(") == -1


def test_only_one_character_after_a_backslash_is_taken_out() -> None:
    assert fault("\\\\(") == 2
    assert fault("\\a)") == 2
