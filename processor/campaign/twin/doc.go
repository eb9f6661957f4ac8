// Package twin says once more, slowly, what campaigns mean. It keeps every event of one user in a list and, at each
// arrival and each due moment, works out from the whole list what campaigns.md says qualifies; what is new leaves.
// It shares no line with the core, so that where the two differ one of them, or the text, is wrong.
//
// Run answers for rules, campaigns and inputs; Generate makes random cases, whose campaigns also print as campaign files
// (Campaign.YAML); Shrink makes a failing case small. Crowd makes many users' cases that are over within minutes, for whoever
// runs more than the core.
//
// Left out: max_open, the limits of history.
//
// # Readings
//
// Where the text leaves a choice, the twin has taken this one.
//
// All kinds
//  1. What has left under one instance never leaves again. The instance is the event (single_action), the completing
//     event and the combination (actions), the `after` event and the combination (inaction_within_time), the check moment
//     (inaction), the event or the set value and the count of years (date_time_property).
//  2. A deadline is "already past" when it lies strictly before the arrival, without regard to allowed_lateness; then
//     due = max(deadline + allowed_lateness, arrival + settle). "The event that sets it" is the one whose arrival makes
//     it stand: also a late `without` that frees an ignored `after`, or what ends an earlier look.
//  3. Outside the schedule means that the moment or the leaving lies outside.
//  4. The history of an audience is every known event with time <= moment, also those of that same time that stand after
//     the qualifying event. The profile is that at the leaving.
//  5. Of one campaign's qualifications of one step, the earlier moment goes first, then the older newest event; of two
//     combinations of one event, that of the earlier pattern. reentry sees them in that order.
//     So does what has waited, beside what has just qualified.
//  6. `profile` of an event removes by null, as a record of the profile topic does.
//  7. `== nil` and `!= nil` with a literal nil ask whether a value is missing.
//  8. An operator of arithmetic on two values that are not nil and do not fit ("a" * 2, true + 1) fails; + joins strings.
//
// Waiting and measuring
//
//   - The ends of `delay` and of quiet hours are deadlines as others: what waits is due `allowed_lateness` later. A wait
//     whose due moment is not after the finding is none. Where the quiet hours are on again when what they held has waited
//     `allowed_lateness`, it leaves at their end: it waits that much longer once.
//   - An exit event counts also where it had arrived before the campaign was found to qualify, and where the trigger
//     would have left at once.
//   - When it leaves after a wait, an audience is judged as of that moment: `now()`, and the history up to it.
//   - A wait for the end of quiet hours does not move with the user's zone; at its end they are judged again.
//   - caps count one for a qualification that leaves. Leaving is the arrival or the due moment, also where the event's
//     time is ahead of it; the same for goal.
//   - A goal counts events with a time from the leaving to `within` after it, both included. One that arrives later than
//     that by more than `allowed_lateness` + `stale_after` is not acted upon; a goal given up so when another trigger leaves stays given
//     up under a longer `stale_after`.
//
// Changing campaigns
//
//   - A changed trigger is rebuilt from the known events, each coming with the largest time so far or at the change, and the profile as
//     it is, known before all of them; earlier zones of the user are known while some campaign looks at times of day or at dates.
//   - "As if it had always stood there": what would have left before the change counts as having left, and is nobody's. The change is when
//     the stream time was, or the user's last record came. What is past and settles leaves only if the former trigger had the same
//     moment open.
//   - "What has already triggered for the same moment": of looks the moment counts, of others the moment and the newest event, and what
//     was suppressed has been judged as well. Known are looks, watches under ignore, what waits, and the sets of actions.
//   - A new campaign without backfill "sees only what comes": in its trigger and exits; its audience sees all.
//   - reentry knows moments from when the campaign has it; goals of a campaign that has none any more are given up; caps with tags count the
//     triggers of campaigns that have the tags now.
//
// actions
//  9. `within` is "between two events" and includes both ends: [newest − within, newest].
//  10. The events of a trigger are, for every pattern, the newest at_least in the window; with in_order chosen from the
//     last pattern backwards.
//  11. One event may stand for several patterns, in in_order too (its time is not decreasing).
//  12. With in_order a set whose events have equal times is completed, without reuse, by the event that stands last in the
//     user's order, whatever its pattern; with reuse, by the event of the last pattern, even if it arrived before the
//     others of its time, and that one is the newest of the trigger.
//  13. A late event that completes a set completes it at the first event, in the user's order, at which the set is whole.
//  14. Under an alias one event may belong to different combinations by different patterns; it counts in each.
//
// inaction_within_time
//  15. The watches are always those of the whole list in order. So under `ignore`, after a late `after`, what would have
//     been ignored does not run any more, and what would not have been runs, beside what has left already.
//
// inaction
//  16. Checks are walked in order of their moments; one that has left counts as qualified, and "the newest one in the
//     window of that qualification" is that of all events known now: a late `did` that would have been in the window
//     of a look that has left makes nobody eligible again.
//  17. A late event can make a look qualify that lies before one that has left, even with the same newest `did`.
//  18. `did_not` with at_least n "holds" from n events on. The events of a trigger are the newest at_least of `did`.
//  19. A look belongs to the zone that the user had when its moment came (from the arrival of the change, inclusive);
//     before the user's first record that leaves anything, to the zone of that record.
//
// date_time_property
//  20. A timer that has not left is ended by any later event in the user's order that cancels or re-aims it, also by one
//     whose time is after the timer's moment (while allowed_lateness or settle holds it).
//  21. `occurrence` counts the matching events as they arrive, without those that lack the property or a value of `same`;
//     events that are not the occurrence set no timer and re-aim none.
//  22. An event whose `same` properties are missing sets no timer and re-aims none.
//  23. A changed zone re-aims what has not left and what it moves, as if it were set at the arrival of the change: where
//     that puts a moment before the arrival, if_past decides. What was skipped stays skipped.
//  24. Every change of a profile property to another value sets a new timer, also back to a value that has fired.
//  25. The k-th year is counted from the date itself; one that has left is not aimed again by a changed zone.
package twin
