//! What every database behind the port must do: one list of properties, run for each implementation. A further database is a
//! function in `databases.rs` that makes one, and a line at the end of this file.
//!
//! The properties use only the traits of `management::port`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod accounts;
mod answers;
mod audit;
mod blocks;
mod changes;
mod concerned;
mod databases;
mod explained;
mod gateways;
mod many;
mod overview;
mod past;
mod rows;
mod sessions;
mod sight;
mod support;
mod turn;
mod usage;
mod way_back;

/// The properties as tests of one database, each with a database of its own that keeps so many versions that hold no more.
macro_rules! conformance {
    ($database:ident) => {
        conformance!($database:
            answers::an_answer_is_found_by_its_actor_and_key_for_its_time(100_000),
            answers::a_change_knows_the_revision_that_it_makes(100_000),
            answers::of_racing_requests_with_one_key_one_is_done(100_000),
            turn::one_holder_at_a_time_has_the_turn(100_000),
            accounts::tokens_are_found_by_their_secret_until_they_are_removed(100_000),
            accounts::a_gateway_has_several_credentials_whose_scope_changes(100_000),
            accounts::those_who_wait_are_told_of_changed_accounts(100_000),
            sessions::a_session_is_found_by_its_secret_until_it_ends(100_000),
            sessions::a_session_ends_with_its_token(100_000),
            sessions::sessions_that_ended_are_forgotten_and_those_of_a_subject_are_few(100_000),
            sessions::a_sign_in_is_used_once(100_000),
            gateways::a_gateway_is_kept_as_it_was_last_heard_of(100_000),
            gateways::what_was_noted_is_found_by_others_once(100_000),
            gateways::a_removed_gateway_comes_back_when_it_is_heard_of(100_000),
            gateways::no_change_of_a_gateway_is_missed(100_000),
            sight::who_is_limited_sees_only_what_reaches_them(100_000),
            sight::usage_is_seen_by_whose_application_or_api_it_is_of(100_000),
            audit::each_revision_has_one_entry_that_says_who_did_what(100_000),
            audit::what_is_no_part_of_the_policy_has_entries_without_a_revision(100_000),
            audit::an_import_is_counted(100_000),
            audit::entries_are_found_by_what_people_look_for(100_000),
            audit::entries_stay_when_rows_and_history_go(3),
            blocks::rows_are_found_when_they_are_due(100_000),
            blocks::a_block_holds_from_its_beginning_to_its_end(100_000),
            blocks::of_racing_services_one_ends_a_block(100_000),
            blocks::many_blocks_end_in_few_changes(100_000),
            changes::a_change_is_one_revision_or_none(100_000),
            changes::what_is_beside_the_policy_makes_no_revision(100_000),
            changes::a_change_knows_who_makes_it_and_when(100_000),
            changes::changes_come_one_after_the_other(100_000),
            changes::those_who_wait_are_told_of_what_can_be_read(100_000),
            changes::its_times_are_told(100_000),
            rows::a_row_is_found_by_each_of_its_names(100_000),
            rows::every_column_of_a_row_is_read_as_it_was_written(100_000),
            rows::a_revoked_key_stays_revoked_when_its_row_is_gone(100_000),
            rows::rows_that_mean_the_same_are_found(100_000),
            rows::a_text_with_a_nul_is_found_nowhere(100_000),
            rows::blocks_of_an_owner_are_found(100_000),
            rows::many_rows_go_as_each_would_alone(100_000),
            rows::lists_are_filtered_sorted_and_counted(100_000),
            concerned::keys_and_requests_that_a_block_refuses_are_counted(100_000),
            explained::the_rows_of_one_request_are_read_as_they_were(100_000),
            many::usage_of_many_is_forgotten_as_that_of_each(100_000),
            many::applications_that_something_belongs_to_are_found(100_000),
            overview::subscribers_are_told_in_the_order_of_the_question(100_000),
            overview::usage_is_added_up_over_time(100_000),
            overview::subscriptions_are_found_by_their_application(100_000),
            past::a_revision_is_read_as_it_was_in_pages_of_any_size(100_000),
            past::a_snapshot_does_not_change(100_000),
            past::a_limited_reader_sees_what_reaches_its_apis(100_000),
            past::the_far_past_is_forgotten(3),
            past::much_of_the_past_is_forgotten_little_by_little(100_000),
            past::a_mark_shows_which_history_it_is_of(100_000),
            usage::usage_adds_up_by_hour_day_and_month(100_000),
            usage::usage_that_is_too_old_goes(100_000),
            usage::a_gateway_has_room_and_its_batches_are_known(100_000),
            usage::the_last_use_of_a_key_is_kept_while_it_is_there(100_000),
            usage::rows_of_plans_are_found_by_what_was_used(100_000),
            way_back::what_differs_between_two_revisions_is_what_changed(100_000),
            way_back::a_large_difference_is_read_in_pages(100_000),
            way_back::the_last_that_was_known_of_a_thing_is_found_by_its_name(100_000),
            way_back::revisions_are_listed_with_what_made_them(100_000),
        );
    };
    ($database:ident: $($module:ident::$property:ident($history_rows:literal),)*) => {
        mod $database {
            $(
                #[tokio::test]
                async fn $property() {
                    crate::$module::$property(&crate::databases::$database($history_rows).await).await;
                }
            )*
        }
    };
}

conformance!(sqlite);
conformance!(postgres);
