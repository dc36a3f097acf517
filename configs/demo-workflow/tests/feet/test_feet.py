from feet import feet


def test_a_depth_is_in_feet_and_inches() -> None:
    assert feet(1.0) == "3 ft 3 in"


def test_no_depth_is_no_feet() -> None:
    assert feet(0.0) == "0 ft 0 in"


def test_twelve_inches_are_a_foot() -> None:
    assert feet(2.43) == "8 ft 0 in"
