from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_shared.errors import ConfigInvalid, FileRefused, SettingInvalid, UnknownName
from pygent_shared.settings import Row, Settings, find_config, load_settings, read_config, rows

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def values_of(row: Row) -> st.SearchStrategy[Any]:
    """Values a row may hold."""
    if get_origin(row.type) is Literal:
        return st.sampled_from(get_args(row.type))
    if get_origin(row.type) is tuple:
        return st.lists(TEXT.map(lambda text: text.replace(",", "").strip()).filter(bool)).map(tuple)
    if row.type is int:
        return st.integers(int(row.least or 0), int(row.most or 10**9))
    if row.type is float:
        return st.floats(row.least, allow_nan=False)
    if row.type is Path:
        return TEXT.map(lambda name: Path("/", name))
    return TEXT


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
@given(data=st.data())
def test_a_value_survives_the_way_through_the_environment(row: Row, data: st.DataObject) -> None:
    settings = Settings(**{row.name: data.draw(values_of(row))})

    assert load_settings(environ=settings.environ()) == settings


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_row_explains_itself_and_its_default_fits_it(row: Row) -> None:
    assert row.help.endswith(".")
    assert row.variable == "PYGENT_" + row.name.upper()
    assert row.parse(row.default, row.variable) == row.default


def test_a_child_gets_the_parents_values_whatever_its_own_config_says() -> None:
    child = load_settings({"settings": {"space": "other", "port": 1}}, environ=Settings().environ())

    assert (child.space, child.port) == ("default", 8700)


BAD = [
    ("log_level", "loud", "one of debug, info, warning, error"),
    ("auth", "maybe", "one of token, none"),
    ("port", "eighty", "a whole number from 0 to 65535"),
    ("port", "65536", "a whole number from 0 to 65535"),
    ("port", "-1", "a whole number from 0 to 65535"),
    ("port", 80.5, "a whole number from 0 to 65535"),
    ("port", True, "a whole number from 0 to 65535"),
    ("port", None, "a whole number from 0 to 65535"),
    ("max_file_mb", 0, "a whole number of at least 1"),
    ("call_timeout", "soon", "a number of at least 0"),
    ("call_timeout", "nan", "a number of at least 0"),
    ("call_timeout", -1, "a number of at least 0"),
    ("allowed_hosts", 5, "a comma-separated list"),
    ("allowed_hosts", ["a", 5], "a comma-separated list"),
    ("allowed_hosts", {"a": 1}, "a comma-separated list"),
    ("data_dir", 5, "a path"),
    ("data_dir", "~no-such-user-here/data", "a path"),
    ("space", 5, "text"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_an_unusable_value_is_named_with_its_source_and_its_cure(
    name: str, value: object, expected: str
) -> None:
    with pytest.raises(SettingInvalid) as caught:
        load_settings({"settings": {name: value}}, environ={})

    sentence = str(caught.value)
    assert sentence.startswith(
        f'"settings": "{name}" in the config file is {value!r}, but it must be {expected}.'
    )
    assert sentence.endswith("leave it out to use that.")


def test_the_source_of_a_bad_value_is_the_flag_or_the_variable_it_came_from() -> None:
    with pytest.raises(SettingInvalid, match=r"^PYGENT_PORT is 'x'"):
        load_settings(environ={"PYGENT_PORT": "x"})
    with pytest.raises(SettingInvalid, match=r"^--start-timeout is 'x'"):
        load_settings(flags={"start_timeout": "x"}, environ={})


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(SettingInvalid) as caught:
        load_settings({"settings": {"token": ["sesame"]}}, environ={})

    assert "sesame" not in str(caught.value)


def test_a_setting_that_does_not_exist_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r'no setting "prot"\. Did you mean "port"\?'):
        load_settings({"settings": {"prot": 1}}, environ={})


@pytest.mark.parametrize("section", [[], ["port"], "port=1", 5, None])
def test_settings_that_are_no_object_are_refused_with_an_example(section: object) -> None:
    with pytest.raises(SettingInvalid, match=r'"settings" in the config file .* \{"log_level": "info"\}'):
        load_settings({"settings": section}, environ={})


def test_a_flag_beats_the_environment_which_beats_the_config_which_beats_the_default() -> None:
    config = {"settings": {"port": 1, "space": "file", "host": "file"}}
    environ = {"PYGENT_PORT": "2", "PYGENT_SPACE": "environ"}
    settings = load_settings(config, {"port": "3", "space": None}, environ=environ)

    assert (settings.port, settings.space, settings.host) == (3, "environ", "file")
    assert settings.log_level == "warning"


def test_an_empty_variable_counts_as_not_given() -> None:
    assert load_settings(environ={"PYGENT_PORT": ""}).port == 8700


def test_words_are_taken_in_any_case_and_lists_from_text_or_json() -> None:
    assert load_settings(environ={"PYGENT_LOG_LEVEL": "DEBUG"}).log_level == "debug"
    assert load_settings(environ={"PYGENT_ALLOWED_HOSTS": " a , b,"}).allowed_hosts == ("a", "b")
    assert load_settings({"settings": {"allowed_hosts": ["a", "b"]}}, environ={}).allowed_hosts == ("a", "b")


def test_a_relative_folder_is_made_absolute_so_that_a_child_elsewhere_means_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_settings(environ={"PYGENT_DATA_DIR": "data"}).data_dir == tmp_path / "data"
    assert load_settings(environ={"PYGENT_DATA_DIR": "~/data"}).data_dir == Path.home() / "data"


def test_a_config_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "pygent.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"settings": {"port": 9}}).encode())

    assert read_config(path) == {"settings": {"port": 9}}


def test_comments_and_trailing_commas_may_stand_in_a_config_file(tmp_path: Path) -> None:
    path = tmp_path / "pygent.json"
    path.write_text('{\n // mine\n "a": "http://x", /* and */\n "b": [1, 2,],\n}', encoding="utf-8")

    assert read_config(path) == {"a": "http://x", "b": [1, 2]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{\n  "a": 1, // one\n  "b" 2\n}', "is not valid JSON: line 3, column 7: "),
        (b"", "is not valid JSON: line 1, column 1: "),
        (b"[1, 2]", "holds no JSON object."),
        (b'"text"', "holds no JSON object."),
        (b'{"a": "\xff"}', "is not UTF-8 text."),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text."),
    ],
)
def test_a_config_file_that_cannot_be_understood_says_where(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "pygent.json"
    path.write_bytes(content)

    with pytest.raises(ConfigInvalid) as caught:
        read_config(path)

    assert str(caught.value).startswith(f'The config file "{path}" {complaint}')


def test_a_config_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r'pygent.json" does not exist\. Name an existing'):
        read_config(tmp_path / "pygent.json")
    with pytest.raises(FileRefused, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_the_config_in_force_is_the_one_named_then_the_variables_then_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pygent.json").write_text("{}")
    assert find_config(environ={}) is None  # a file in the current folder must not be found

    own = tmp_path / "config" / "pygent" / "pygent.json"
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    assert find_config(environ=os.environ) == own
    assert find_config(environ={"PYGENT_CONFIG": "~/b.json"}) == tmp_path / "b.json"
    assert find_config("c.json", environ={"PYGENT_CONFIG": "b.json"}) == tmp_path / "c.json"
