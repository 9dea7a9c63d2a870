//! The macro that makes one test of each behaviour.

/// Every behaviour as a `#[test]` of its own, in a module of this name:
/// `conformance!(acme, harness());`. The expression is a [`Harness`](crate::conformance::Harness) and is
/// evaluated for each test.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $harness:expr) => {
        $crate::conformance! { @tests $module, $harness,
            descriptor_is_constant_and_round_trips
            declared_verbs_are_supported
            undeclared_verbs_are_refused
            rows_match_the_descriptor
            every_verb_names_its_permission
            contract_is_the_current_one
            effects_are_truthful
            a_creation_names_its_account
            side_effects_are_reported
            preview_changes_nothing
            preview_predicts
            preview_fails_as_apply_does
            preview_fidelity_is_as_declared
            preview_of_an_undeclared_verb_is_refused
            a_stale_version_is_a_conflict
            a_fresh_version_is_accepted
            listing_is_complete
            page_size_does_not_matter
            no_row_comes_twice
            listing_ends
            an_empty_page_is_not_the_end
            ids_are_stable
            ids_survive_a_rename
            a_cursor_works_in_another_instance
            an_unknown_cursor_is_an_error
            entitlements_are_listed_or_refused
            a_failed_page_is_an_error
            a_page_can_be_asked_for_again
            an_empty_target_is_one_last_page
            a_deletion_meanwhile_hides_nobody
            disabled_accounts_are_listed
            withheld_rows_are_declared
            one_page_is_not_the_whole_listing
            rows_are_of_the_scope
            strange_names_survive
            a_link_to_another_host_is_refused
            a_repeated_cursor_is_refused
            pages_keep_to_their_size
            holdings_are_listed_as_declared
            read_agrees_with_list
            a_missing_account_is_absent
            an_account_is_found_by_its_owner
            reading_changes_nothing
            what_was_written_is_read
            a_strange_id_reads_nobody
            changes_by_others_show
            grant_takes_effect
            grant_is_idempotent
            grant_touches_only_its_target
            revoke_takes_effect
            revoke_of_what_is_not_held_succeeds
            revoke_after_the_account_is_gone_succeeds
            access_can_come_back
            grant_of_what_does_not_exist_is_not_found
            grant_to_nobody_is_not_found
            grant_to_a_disabled_account_is_as_declared
            what_the_target_decides_is_refused
            a_replacement_is_reported
            revoke_of_what_does_not_exist_succeeds
            the_last_owner_stays
            no_seat_is_exhausted
            exchange_swaps
            a_failed_exchange_leaves_the_old_one
            revoke_touches_only_its_target
            revoke_from_a_disabled_account_works
            a_created_account_is_there
            a_taken_name_is_an_error
            one_key_makes_one_account
            a_missing_attribute_is_invalid
            disabling_blocks
            disabling_is_idempotent
            an_account_can_be_enabled_again
            disabling_keeps_or_drops_as_declared
            a_deleted_account_is_absent
            deleting_is_idempotent
            an_update_touches_only_what_it_names
            an_update_without_change_is_unchanged
            a_rename_keeps_the_account
            a_rename_to_a_taken_name_is_an_error
            an_update_of_nobody_is_not_found
            enabling_nobody_is_not_found
            disabling_nobody_succeeds
            a_staged_account_cannot_sign_in
            an_account_knows_its_owner
            an_attribute_can_be_cleared
            a_created_account_has_its_attributes
            declared_statuses_are_reached
            other_statuses_are_refused
            sessions_are_revoked
            refresh_tokens_are_revoked
            api_keys_are_revoked
            app_passwords_are_revoked
            ssh_keys_are_revoked
            factors_are_revoked
            devices_are_revoked
            credentials_of_nobody_are_gone
            credentials_of_a_disabled_account_are_revoked
            a_class_that_is_shown_is_counted
            an_auto_reply_is_set
            mail_is_forwarded
            a_delegate_is_added
            a_mailbox_is_converted
            without_a_mailbox_it_is_not_found
            mail_of_a_disabled_account_is_as_declared
            ownership_is_transferred
            nothing_to_transfer_is_unchanged
            a_transfer_to_nobody_loses_nothing
            statuses_have_their_kinds
            a_server_error_leaves_doubt
            a_refusal_leaves_no_doubt
            retry_after_is_honoured
            a_throttle_without_a_wait_backs_off
            a_refused_connection_changed_nothing
            a_lost_answer_leaves_doubt
            a_cut_answer_is_an_error
            a_senseless_answer_is_a_violation
            a_senseless_listing_is_a_violation
            a_page_of_html_is_classified_by_its_status
            the_targets_own_throttle_is_known
            an_error_says_where_it_came_from
            no_error_shows_the_credential
            a_refused_credential_is_renewed_once_or_not
            nothing_is_tried_again
            a_redirect_is_not_followed
            the_credential_is_in_no_address
            a_failed_read_is_not_an_absence
            a_lost_answer_converges
            a_lost_creation_makes_one_account
            a_lost_request_converges
            a_duplicated_request_does_no_harm
            a_replayed_plan_is_a_no_op
            a_creation_cut_on_the_wire_is_found
            a_change_costs_few_requests
            a_change_cut_at_any_request_is_told_truly
            grants_at_once_are_not_lost
            the_same_grant_at_once_is_one
            grant_and_revoke_at_once_end_in_one
            a_dropped_call_converges
            a_dropped_call_leaves_nothing_open
            listing_while_writing_works
            the_same_creation_at_once_is_one_account
            a_batch_answers_each_change
            a_change_is_in_the_feed
            a_watermark_can_be_used_again
            a_deletion_is_in_the_feed
            a_forgotten_watermark_is_an_error
            listing_and_feed_make_the_present
            a_watermark_works_in_another_instance
            a_healthy_target_is_healthy
            a_bad_credential_shows
            a_target_that_is_down_shows
            health_costs_little
            a_missing_permission_shows
            a_pending_change_has_a_handle
            a_pending_change_ends
            asking_again_changes_nothing
            an_unknown_handle_is_not_found
        }
    };
    (@tests $module:ident, $harness:expr, $($behaviour:ident)*) => {
        fn $module() -> $crate::conformance::Harness {
            $harness
        }

        mod $module {
            $(
                #[test]
                fn $behaviour() {
                    $crate::conformance::assert_behaviour(&super::$module(), stringify!($behaviour));
                }
            )*

            /// The list of the macro is the list of the suite.
            #[test]
            fn every_behaviour_is_a_test() {
                let tests = [$(stringify!($behaviour)),*];
                let all: Vec<&str> =
                    $crate::conformance::behaviours().iter().map(|it| it.name).collect();
                assert_eq!(all, tests);
            }
        }
    };
}
