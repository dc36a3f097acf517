"""What can go wrong with the security of a gateway, and what shows that it does not go wrong here: the table
behind `docs/security.md`.

python tests/registry/checklist.py           say whether the page is out of date (exit code 1 if so)
python tests/registry/checklist.py --write   rewrite it
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
TESTS = "tests/registry/test_checklist.py"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One promise. It is proven by `tests`, of `test_checklist.py`, and further by `details`, as "
    "FILE::TEST in
    the folder of tests; or it is none of ours, for a reason.
    """

    number: int
    says: str
    tests: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    but: str = ""
    """What of it does not apply here, or does not hold, in a sentence; all of it where there are no tests."""


CHAPTERS = {
    1: "Who gets in",
    10: "What is started",
    17: "What servers say",
    23: "Under pressure, and afterwards",
}

LINES = (
    Line(
        number=1,
        says="No route answers a request under a foreign name (Host), or of a foreign page (Origin).",
        tests=("test_no_route_answers_a_foreign_name_or_page",),
        details=(
            "shared/test_http.py::test_who_may_call",
            "shared/test_http_seen.py::test_what_is_shown_needs_the_token_and_a_known_host_and_origin",
        ),
    ),
    Line(
        number=2,
        says="It listens on this machine alone, and on a network only with authentication.",
        tests=("test_it_is_not_open_to_the_network_by_itself",),
        details=(
            "shared/test_http.py::test_an_address_open_to_the_network_is_refused_without_authentication",
        ),
    ),
    Line(
        number=3,
        says="A token is made where none is given. It lies in a file of its owner and is nowhere else to "
        "be read.",
        tests=("test_the_token_is_its_owners_secret",),
        details=(
            "shared/test_http.py::test_a_token_is_made_once_in_a_file_that_only_its_owner_reads",
            "shared/test_http.py::test_the_token_appears_neither_in_the_log_nor_on_the_command_line",
            "shared/test_http_keys.py::test_only_the_hash_of_a_key_is_kept_for_its_owner_alone",
            "shared/test_http_keys.py::test_a_token_in_the_url_is_refused_and_not_repeated",
        ),
    ),
    Line(
        number=4,
        says="An access token of an issuer counts only if it is signed, in time, for this endpoint and "
        "its scope.",
        tests=("test_an_access_token_must_be_right_in_every_part",),
        details=(
            "shared/test_http_oauth.py::test_a_token_is_refused_that_is",
            "shared/test_http_oauth.py::test_a_token_without_the_scope_is_refused_with_the_scope",
            "shared/test_http_oauth.py::test_metadata_of_another_issuer_is_not_believed",
        ),
    ),
    Line(
        number=5,
        says="What callers send to be let in reaches no server, and what servers are given reaches no "
        "caller.",
        tests=("test_no_secret_crosses_the_gateway_in_either_direction",),
        details=(
            "registry/test_identity.py::test_what_a_caller_sent_to_be_let_in_reaches_no_server",
            "registry/test_references.py::test_a_server_that_tells_its_secret_everywhere_is_heard_nowhere",
            "registry/test_credentials.py::test_a_token_that_a_server_says_back_is_hidden",
            "registry/test_credentials.py::test_a_token_goes_to_the_servers_own_origin_alone",
        ),
    ),
    Line(
        number=6,
        says="A session, a question, a kept result or a subscription is its caller's alone, cannot be "
        "guessed, "
        "and ends; nobody can hold all of them.",
        tests=(
            "test_a_session_is_its_callers_alone",
            "test_an_update_reaches_only_who_may_see_the_resource",
        ),
        details=(
            "registry/test_identity.py::test_a_caller_has_so_many_sessions_and_takes_nobody_elses",
            "registry/test_identity.py::test_a_large_result_is_kept_for_its_caller_alone",
            "registry/test_bridge.py::test_what_one_caller_was_asked_another_cannot_answer",
            "registry/test_tasks.py::test_a_task_is_its_callers_alone",
            "registry/test_bridge.py::test_a_caller_has_only_so_many_parked_calls",
            "shared/test_http.py::test_a_session_ends_when_its_time_is_over_however_busy_it_is",
        ),
        but="That two servers' resources with one address are told apart holds for reading, not for updates: "
        "whoever may hear of one hears that the other changed, not what.",
    ),
    Line(
        number=7,
        says="A header that says otherwise than the body is refused, and rules go by the body.",
        tests=("test_a_header_does_not_talk_a_rule_round",),
        details=("registry/test_bridge.py::test_a_header_that_says_otherwise_than_the_body_is_refused",),
    ),
    Line(
        number=8,
        says="A client that signs in through a gateway is asked for its own consent.",
        but="There is no such way in: it issues no codes and passes no sign-in on. Servers are reached with "
        "client credentials of their own entries, and an issuer's clients sign in at the issuer.",
    ),
    Line(
        number=9,
        says="No address, spelling or redirect leads to where a cloud keeps a machine's keys, and hosts "
        "are shown "
        "addresses of the web only.",
        tests=("test_no_spelling_of_an_address_leads_to_a_clouds_keys",),
        details=(
            "shared/test_outbound.py::test_every_spelling_is_blocked_before_a_connection_is_tried",
            "shared/test_outbound.py::test_the_connection_goes_to_the_address_that_was_looked_at",
            "shared/test_http_oauth.py::test_an_issuer_leads_to_no_address_where_a_cloud_keeps_its_keys",
            "registry/test_outbound.py::test_a_server_that_sends_us_elsewhere_is_not_followed",
            "registry/test_outbound.py::test_no_metadata_that_a_refusal_names_is_fetched",
            "registry/test_outbound.py::test_an_icon_is_passed_on_and_never_fetched",
            "registry/test_bridge.py::test_an_address_that_is_none_of_the_web_is_refused",
        ),
        but="Loopback and private networks are allowed for entries of the config file: that is where people "
        "have their servers. They are refused for pages that a tool is told to read (`PYGENT_PRIVATE_URLS`).",
    ),
    Line(
        number=10,
        says="What is started stands in a config file that only its owner can write; no request starts "
        "anything else.",
        tests=("test_no_request_and_nobody_elses_file_starts_a_command",),
        details=(
            "registry/test_launch.py::test_no_route_starts_a_command_that_the_config_does_not_hold",
            "registry/test_launch.py::test_a_config_in_a_folder_where_others_may_replace_it_starts_nothing",
            "registry/test_launch.py::test_a_config_of_another_user_starts_nothing",
        ),
        but="There is no administration over HTTP that could be let in.",
    ),
    Line(
        number=11,
        says="No shell reads a command: its arguments reach the program as they are written.",
        tests=("test_no_shell_reads_an_argument",),
        details=(
            "registry/test_launch.py::test_arguments_reach_the_child_word_for_word",
            "registry/test_launch.py::test_a_folder_that_is_none_is_named_with_its_cure",
        ),
        but="The rules of Windows' `cmd` are not tested: the tests run on Linux.",
    ),
    Line(
        number=12,
        says="A server is given its own variables and those that every program needs, no other.",
        tests=("test_a_server_has_only_its_own_variables",),
    ),
    Line(
        number=13,
        says="A server is started as it was approved: another command, argument or program waits for "
        "approval.",
        tests=("test_a_server_that_is_started_otherwise_waits_for_approval",),
        details=(
            "registry/test_trust.py::test_a_server_whose_launch_changed_is_not_started_until_it_is_approved",
            "registry/test_launch.py::test_another_program_in_its_place_is_not_started_until_it_is_approved",
            "registry/test_launch.py::test_what_is_started_without_a_version_is_found",
            "registry/test_cli_doctor.py::test_what_is_started_without_a_version_is_named",
        ),
    ),
    Line(
        number=14,
        says="A server can be given less than its user may: no network, few folders, bounded memory and "
        "time.",
        tests=("test_a_server_is_held_to_its_limits",),
        details=(
            "registry/test_launch.py::test_a_server_works_in_its_sandbox",
            "registry/test_launch.py::test_without_what_its_sandbox_needs_a_server_is_not_started",
            "shared/test_sandbox.py::test_without_network_not_even_this_machine_is_reached",
            "shared/test_sandbox.py::test_it_writes_only_where_it_may",
        ),
    ),
    Line(
        number=15,
        says="Nothing that it started outlives it, however it ends and however stubborn that is.",
        tests=("test_nothing_outlives_a_gateway_that_is_killed",),
        details=(
            "registry/test_process.py::test_no_child_outlives_the_registry",
            "registry/test_process.py::test_no_child_outlives_pygent_up",
            "registry/test_process.py::test_a_child_that_left_its_group_is_found_by_its_environment",
            "registry/test_launch.py::test_nothing_in_a_sandbox_outlives_the_registry",
        ),
    ),
    Line(
        number=16,
        says="A server that is killed costs its own calls, which end at once; it is back in a moment, "
        "and left "
        "alone where it keeps dying.",
        tests=("test_a_killed_server_costs_its_own_call_and_comes_back",),
        details=(
            "registry/test_supervision.py::test_a_call_in_flight_fails_within_a_second_of_its_servers_death_and_"
            "the_server_comes_back",
            "registry/test_supervision.py::test_a_server_that_keeps_dying_is_left_alone_after_the_fifth_time",
            "registry/test_health.py::test_a_server_that_keeps_ending_is_started_ever_more_rarely",
        ),
    ),
    Line(
        number=17,
        says="What a server offers stays as it was approved: what changed is neither shown nor called.",
        tests=("test_a_changed_definition_is_neither_shown_nor_called",),
        details=(
            "registry/test_trust.py::test_a_change_in_any_part_a_model_reads_hides_it",
            "registry/test_trust.py::test_prompts_resources_and_templates_are_pinned_like_tools",
            "registry/test_trust.py::test_a_new_tool_waits_for_approval_where_that_is_asked_for",
            "registry/test_trust_pins.py::test_schemas_and_annotations_count",
        ),
    ),
    Line(
        number=18,
        says="A text that gives the model orders is found wherever a model reads it.",
        tests=("test_an_order_is_found_in_a_parameter_and_in_an_enum",),
        details=(
            "registry/test_trust_scan.py::test_the_labelled_corpora_are_told_apart",
            "registry/test_trust_scan.py::test_an_order_is_found_in_every_field",
            "registry/test_trust.py::test_orders_in_a_servers_instructions_are_reported",
        ),
    ),
    Line(
        number=19,
        says="No server takes another's name or one of the gateway's own, nor one that only looks like it.",
        tests=("test_no_server_takes_a_name_that_is_not_its_own",),
        details=(
            "registry/test_catalogue.py::test_a_server_cannot_take_the_name_of_another_servers_tool",
            "registry/test_catalogue.py::test_names_are_the_same_in_every_order_of_the_tools",
            "registry/test_trust_text.py::test_names_that_look_like_others_do_not",
        ),
    ),
    Line(
        number=20,
        says="Results arrive without what nobody sees, without secrets, and no longer than is wanted.",
        tests=("test_a_result_holds_nothing_unseen_nothing_secret_and_not_too_much",),
        details=(
            "registry/test_trust.py::test_results_arrive_without_what_nobody_sees_and_say_how_much_went",
            "registry/test_policies.py::test_secrets_are_taken_out_of_results_and_errors",
            "registry/test_policies.py::test_a_large_result_is_cut_and_the_whole_can_be_read",
            "registry/test_bridge.py::test_a_link_to_anothers_address_is_read_at_the_server_that_gave_it",
        ),
        but="Results are not wrapped in words that call them untrusted: hosts do that, as they know "
        "their model.",
    ),
    Line(
        number=21,
        says="What a server says of its tools (`readOnlyHint`) unlocks nothing unless its entry trusts it.",
        tests=("test_a_hint_unlocks_nothing",),
        details=(
            "registry/test_supervision.py::test_no_other_lost_call_is_repeated_and_hints_of_a_foreign_server_"
            "unlock_nothing",
            "registry/test_policies.py::test_a_server_that_is_not_trusted_is_asked_every_time",
        ),
    ),
    Line(
        number=22,
        says="A server asks the user under its own name, seldom, and for no secret; the model only if it "
        "may.",
        tests=("test_a_server_asks_only_what_it_may_and_under_its_name",),
        details=(
            "registry/test_bridge.py::test_the_hosts_model_is_for_servers_whose_entry_says_so",
            "registry/test_bridge.py::test_a_form_that_asks_for_a_secret_is_refused",
            "registry/test_bridge.py::test_a_server_may_ask_only_so_often",
            "registry/test_bridge.py::test_the_host_that_is_shown_is_the_one_that_would_be_opened",
        ),
        but="Questions to the user are allowed until the entry says otherwise (`ask`); the model is not.",
    ),
    Line(
        number=23,
        says="What is too large, too deep or not what it says costs whoever sent it, and nobody else.",
        tests=("test_a_request_made_to_harm_is_refused_and_the_next_is_answered",),
        details=(
            "registry/test_limits.py::test_over_http_it_is_refused_and_the_next_is_answered",
            "registry/test_limits.py::test_over_stdio_it_is_passed_over_and_the_next_is_answered",
            "registry/test_limits.py::test_a_definition_that_is_too_large_is_withheld_and_neither_kept_nor_scanned",
            "registry/test_limits.py::test_a_reference_to_the_network_is_never_followed",
            "shared/test_http.py::test_a_head_without_an_end_is_refused",
        ),
    ),
    Line(
        number=24,
        says="Each caller and each server has limits of its own; who is over one is told when to try again, "
        "and is not locked out.",
        tests=("test_a_caller_over_its_limit_waits_and_nobody_else_does",),
        details=(
            "registry/test_policies.py::test_a_servers_rate_is_its_own",
            "registry/test_policies.py::test_a_server_is_given_no_more_at_once_than_its_concurrency",
            "registry/test_policies.py::test_who_waits_too_long_for_a_turn_is_told_to_try_again",
            "shared/test_http_keys.py::test_failed_attempts_lock_nobody_out",
        ),
    ),
    Line(
        number=25,
        says="What a caller is not shown it cannot call, no cache shares its lists, and no server "
        "reaches more "
        "on its behalf.",
        tests=("test_what_is_not_shown_is_not_there",),
        details=(
            "registry/test_identity.py::test_a_caller_sees_and_calls_what_its_roles_allow_and_nothing_else",
            "registry/test_identity.py::test_where_callers_may_see_different_lists_no_cache_may_share_any",
            "registry/test_identity.py::test_search_finds_describes_and_calls_only_what_the_roles_allow",
            "registry/test_third_party.py::test_a_server_that_works_for_a_caller_reaches_no_more_for_it_than_its_"
            "roles_allow",
        ),
        but="A server in a process of its own that calls others calls them as itself: nothing tells for "
        "whom.",
    ),
    Line(
        number=26,
        says="Each call leaves a record of who, what and how it ended; a changed record is found.",
        tests=("test_each_call_leaves_a_record_that_cannot_be_changed_unseen",),
        details=(
            "registry/test_policies_pure.py::test_a_change_a_gap_an_insertion_and_a_swap_break_it",
            "registry/test_audit.py::test_an_unfinished_line_is_closed_and_the_chain_goes_on",
            "registry/test_audit.py::test_each_record_is_on_the_disk_before_the_call_is_answered_where_that_is_wanted",
            "registry/test_policies.py::test_arguments_are_recorded_without_secrets_where_they_are_wanted",
        ),
    ),
    Line(
        number=27,
        says="What it keeps is its owner's alone to read and holds no secret of the config.",
        tests=("test_what_is_kept_is_its_owners_and_holds_no_secret",),
        details=(
            "registry/test_policies.py::test_the_record_is_for_its_owners_eyes",
            "registry/test_trust_pins.py::test_the_file_keeps_pins_for_its_owner_alone",
            "registry/test_references.py::test_secrets_that_stand_in_the_file_are_found_by_their_place",
            "registry/test_cli.py::test_install_never_writes_a_secret_into_the_entry",
        ),
    ),
    Line(
        number=28,
        says="Whatever one server does, the others go on answering.",
        tests=("test_whatever_one_server_does_the_others_answer",),
        details=(
            "registry/test_supervision.py::test_whatever_one_server_does_the_others_go_on_answering",
            "registry/test_supervision.py::test_a_server_that_says_odd_things_still_answers_its_own_calls_rightly",
            "registry/test_supervision.py::test_a_message_without_end_ends_its_server_with_a_sentence_and_costs_"
            "little_memory",
            "registry/test_wire.py::test_answers_are_read_without_a_pause_and_a_flood_of_anything_else_with_one",
            "registry/test_limits.py::test_what_a_server_answers_harms_that_call_at_most",
        ),
    ),
)


def page() -> str:
    """The page of the docs."""
    written = [
        "# Security, line by line",
        "",
        "What can go wrong with the security of a gateway to other people's programs, and what is "
        "promised here "
        f"about it. Each promise is kept by a test in [`{TESTS}`](../{TESTS}), through HTTP or stdio as "
        f"in use; "
        "the tests named below it go into its details. This page is written by "
        "`python tests/registry/checklist.py --write`.",
    ]
    for line in LINES:
        if chapter := CHAPTERS.get(line.number):
            written += ["", f"## {chapter}"]
        written += ["", f"### {line.number}. {line.says}"]
        if line.but:
            written += ["", line.but if line.tests else f"Does not apply. {line.but}"]
        if line.tests:
            written += ["", f"Kept by {' and '.join(f'`{test}`' for test in line.tests)}."]
        if line.details:
            written += ["", *(f"- `{detail}`" for detail in line.details)]
    return "\n".join(written) + "\n"


def main() -> int:
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page()
    if stale and "--write" in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
        stale = False
    print(f"{PAGE.name} is {'out of date' if stale else 'up to date'}")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
