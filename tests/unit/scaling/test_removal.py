"""What a removal does and what it refuses, decided from DCS, records and inventory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scaled import ONE, THREE, TWO, lives, living, trace

from pigsty import removal
from pigsty.removal import RemovalRefused, Wish
from pigsty.targets import TargetError


def refused(known, wish):
    with pytest.raises(RemovalRefused) as error:
        removal.plan(known, wish)
    assert error.value.exit_code == 4
    return str(error.value)


def test_a_replica_that_was_taken_out_goes_and_its_peers_are_told(world, deployment):
    plan = removal.plan(world(deployment(without=[THREE])), Wish(("pg-test-3",)))
    (going,) = plan.members
    assert (going.name, going.host, going.there, going.data) == ("pg-test-3", THREE, True, True)
    assert not going.declared and not plan.whole and not plan.handover and not plan.backups
    assert plan.peers == (ONE, TWO)
    assert removal.afterwards(plan, deployment()) == []


def test_an_address_names_a_member_as_well(world, deployment):
    known = world(deployment(without=[THREE]))
    assert removal.plan(known, Wish((THREE,))) == removal.plan(known, Wish(("pg-test-3",)))


def test_a_replica_that_is_still_declared_goes_and_the_person_is_told_what_is_left(
    world, deployment
):
    plan = removal.plan(world(), Wish(("pg-test-3",)))
    assert plan.members[0].declared
    assert plan.peers == (), "nothing in the inventory has changed: there is no news for them"
    (line,) = removal.afterwards(plan, deployment())
    assert THREE in line and "take it out" in line


def test_who_leads_is_asked_of_the_dcs_and_not_of_the_inventory(world, deployment):
    known = world(
        deployment(without=[ONE], hosts={TWO: {"pg_role": "primary"}}), living("pg-test-2")
    )
    assert removal.plan(known, Wish(("pg-test-1",))).members[0].host == ONE
    text = refused(known, Wish(("pg-test-2",)))
    assert "pg-test-2 leads" in text and "pigsty pgsql switchover pg-test" in text


def test_the_leader_hands_over_first_when_that_is_said(world):
    plan = removal.plan(world(), Wish(("pg-test-1",), switchover=True))
    assert plan.handover == "pg-test-1"
    assert plan.sentences[0] == "pg-test-1 hands the lead over"


def test_a_switchover_needs_somebody_who_may_lead_and_answers(world):
    members = (lives("pg-test-1", ONE), lives("pg-test-2", TWO, nofailover=True))
    live = living(members=members)
    wish = Wish(("pg-test-1",), switchover=True)
    gone = {THREE: None}
    assert "none of those that stay could take over" in refused(world(live=live, traces=gone), wish)
    silent = world(dumb={"pg-test-2", "pg-test-3"})
    assert "none of those that stay could take over" in refused(silent, wish)


def test_a_cluster_that_the_inventory_has_forgotten_cannot_hand_over(world, deployment):
    known = world(deployment(cluster=False))
    for wish in (Wish(("pg-test-1",)), Wish(("pg-test-1",), switchover=True)):
        assert "that the inventory doesn't have can't be handed over" in refused(known, wish)
    assert removal.plan(known, Wish(("pg-test-3",))).members[0].name == "pg-test-3"


def test_nobody_is_removed_from_a_cluster_that_is_not_well(world):
    assert "it has no leader" in refused(world(live=living("")), Wish(("pg-test-3",)))
    text = refused(world(serving=False), Wish(("pg-test-3",)))
    assert "its leader pg-test-1 doesn't serve" in text


def test_a_paused_cluster_is_left_alone(world):
    paused = world(live=living(paused=True))
    assert "paused" in refused(paused, Wish(("pg-test-3",)))
    assert "paused" in refused(paused, Wish())
    dead = world(live=living("", paused=True, members=()))
    assert removal.plan(dead, Wish()).whole, "the pause of a dead cluster is nobody's maintenance"


def test_the_last_synchronous_standby_stays(world):
    members = (
        lives("pg-test-1", ONE),
        lives("pg-test-2", TWO),
        lives("pg-test-3", THREE, nosync=True),
    )
    known = world(live=living(members=members, synchronous=True))
    assert "wait for a second member" in refused(known, Wish(("pg-test-2",)))
    assert removal.plan(known, Wish(("pg-test-3",)))
    asynchronous = world(live=living(members=members))
    assert removal.plan(asynchronous, Wish(("pg-test-2",)))


def test_the_plan_says_when_nobody_could_take_over_afterwards(world):
    warning = "afterwards NO other member could take over from the leader"
    assert warning in removal.plan(world(), Wish(("pg-test-2", "pg-test-3"))).sentences
    assert warning not in removal.plan(world(), Wish(("pg-test-3",))).sentences


def test_the_plan_names_those_who_followed_a_member_that_goes(world):
    members = (
        lives("pg-test-1", ONE),
        lives("pg-test-2", TWO),
        lives("pg-test-3", THREE, upstream="pg-test-2"),
    )
    plan = removal.plan(world(live=living(members=members)), Wish(("pg-test-2",)))
    assert "pg-test-3 will follow the leader itself" in plan.sentences


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("pg-test-4", "unknown member of pg-test"),
        ("pg-meta-1", "pg-meta-1 is a member of pg-meta, not of pg-test"),
        ("10.1.1.10", "10.1.1.10 is a member of pg-meta, not of pg-test"),
        ("10.9.9.9", "unknown member of pg-test"),
    ],
)
def test_a_wrong_name_is_said_to_be_one(world, word, text):
    with pytest.raises(TargetError, match=text):
        removal.plan(world(), Wish((word,)))


def test_without_names_the_whole_cluster_goes_and_its_keys_with_it(world):
    plan = removal.plan(world(), Wish())
    assert plan.whole and len(plan.members) == 3
    assert plan.handover == "" and plan.peers == ()
    assert "the keys below /pg/pg-test/ are deleted" in plan.sentences
    assert any(sentence.startswith("the backups are kept") for sentence in plan.sentences)


def test_naming_all_that_live_is_not_taken_for_the_whole_cluster(world):
    words = ("pg-test-1", "pg-test-2", "pg-test-3")
    assert "is all that lives of pg-test" in refused(world(), Wish(words))


def test_a_cluster_that_the_inventory_has_forgotten_is_found_in_the_dcs(world, deployment):
    plan = removal.plan(world(deployment(cluster=False)), Wish())
    assert plan.whole and [member.host for member in plan.members] == [ONE, TWO, THREE]
    assert removal.afterwards(plan, deployment()) == []


def test_a_member_that_only_its_machine_remembers_goes_on_being_removed(world, deployment):
    live = living("", members=(), initialized=False)
    known = world(deployment(cluster=False), live, {TWO: None, THREE: None})
    plan = removal.plan(known, Wish())
    assert [member.name for member in plan.members] == ["pg-test-1"]


def test_nothing_lives_of_a_cluster(world, deployment):
    live = living("", members=(), initialized=False)
    nothing = dict.fromkeys((ONE, TWO, THREE))
    for found in (deployment(cluster=False), deployment()):
        with pytest.raises(TargetError, match="nothing lives of a cluster pg-test"):
            removal.plan(world(found, live, nothing), Wish())


def test_the_safeguard_of_the_inventory_holds(world, deployment):
    assert "pg-test-3 is protected" in refused(
        world(deployment(pg_safeguard=True)), Wish(("pg-test-3",))
    )
    assert "is protected" in refused(world(deployment(pg_safeguard=True)), Wish())
    one = deployment(hosts={TWO: {"pg_safeguard": True}})
    assert removal.plan(world(one), Wish(("pg-test-3",)))
    assert "pg-test-2 is protected" in refused(world(one), Wish())


def test_the_safeguard_of_the_record_holds_once_the_inventory_has_forgotten_the_cluster(
    world, deployment
):
    guarded = {ONE: trace("pg-test-1", safeguard=True)}
    assert "is protected" in refused(world(deployment(cluster=False), traces=guarded), Wish())
    # The inventory has the last word as long as it knows the cluster.
    assert removal.plan(world(traces=guarded), Wish()).whole


def test_data_are_kept_where_the_inventory_or_the_record_says_so(world, deployment):
    kept = removal.plan(world(deployment(pg_rm_data=False)), Wish(("pg-test-3",)))
    assert not kept.members[0].data
    assert any("are kept (pg_rm_data)" in sentence for sentence in kept.sentences)
    records = {THREE: trace("pg-test-3", remove_data=False)}
    gone = removal.plan(world(deployment(without=[THREE]), traces=records), Wish(("pg-test-3",)))
    assert not gone.members[0].data


def test_packages_go_only_where_the_record_says_so(world):
    records = {THREE: trace("pg-test-3", remove_packages=True)}
    assert removal.plan(world(traces=records), Wish(("pg-test-3",))).members[0].packages
    assert not removal.plan(world(), Wish(("pg-test-3",))).members[0].packages


def test_backups_go_only_with_the_whole_cluster_and_only_when_asked_for(world, deployment):
    assert not removal.plan(world(), Wish()).backups
    assert removal.plan(world(), Wish(backups=True)).backups
    assert removal.plan(world(deployment(pg_rm_backup=True)), Wish()).backups
    forbidden = world(deployment(pg_rm_backup=False))
    assert not removal.plan(forbidden, Wish()).backups
    assert "protected by `pg_rm_backup: false`" in refused(forbidden, Wish(backups=True))
    assert "is for the whole cluster" in refused(world(), Wish(("pg-test-3",), backups=True))


def test_the_records_decide_about_the_backups_of_a_forgotten_cluster(world, deployment):
    nothing = deployment(cluster=False)
    yes = {host: trace(f"pg-test-{host[-1]}", remove_backup=True) for host in (ONE, TWO, THREE)}
    assert removal.plan(world(nothing, traces=yes), Wish()).backups
    one_no = yes | {TWO: trace("pg-test-2", remove_backup=False)}
    assert not removal.plan(world(nothing, traces=one_no), Wish()).backups


def test_a_silent_machine_is_taken_for_dead_only_when_that_is_said(world, deployment):
    found = deployment(without=[THREE])
    live = living(members=(lives("pg-test-1", ONE), lives("pg-test-2", TWO)))
    silent = {THREE: "its minion isn't connected"}
    # Its key has expired, so a person has to name the machine: the record can't be read.
    known = world(found, replace(live, members=(*live.members, lives("pg-test-3", THREE))),
                  silent=silent, dumb={"pg-test-3"})  # fmt: skip
    text = refused(known, Wish(("pg-test-3",)))
    assert "its minion isn't connected" in text and "--dead" in text
    plan = removal.plan(known, Wish(("pg-test-3",), dead=True))
    assert not plan.members[0].there
    assert "pg-test-3 on 10.1.1.13 is taken for dead" in plan.sentences


def test_who_answers_is_not_dead(world, deployment):
    found = deployment(without=[THREE])
    assert "without --dead" in refused(world(found), Wish(("pg-test-3",), dead=True))
    known = world(found, silent={THREE: "no answer"})
    assert "its Patroni answers" in refused(known, Wish(("pg-test-3",), dead=True))


def test_a_cluster_is_forgotten_whose_machines_are_all_gone(world, deployment):
    silent = dict.fromkeys((ONE, TWO, THREE), "its minion isn't connected")
    known = world(deployment(cluster=False), living(""), silent=silent,
                  dumb=("pg-test-1", "pg-test-2", "pg-test-3"), serving=False)  # fmt: skip
    assert "say --dead" in refused(known, Wish())
    plan = removal.plan(known, Wish(dead=True))
    assert plan.whole and not any(member.there for member in plan.members)
    expired = world(deployment(cluster=False), living("", members=()), silent=silent)
    plan = removal.plan(expired, Wish(dead=True))
    assert plan.whole and plan.members == (), "keys are left, and no member"


def test_a_dead_member_is_taken_out_of_the_inventory_first(world):
    known = world(silent={THREE: "no answer"}, dumb={"pg-test-3"})
    assert "take it out first" in refused(known, Wish(("pg-test-3",), dead=True))


def test_a_machine_that_holds_another_member_now_is_not_touched(world, deployment):
    records = {THREE: trace("pg-new-1", cluster="pg-new")}
    plan = removal.plan(world(deployment(without=[THREE]), traces=records), Wish(("pg-test-3",)))
    assert not plan.members[0].there


def test_the_machines_to_be_asked(deployment):
    live = living(members=(lives("pg-test-9", "10.1.1.19"),))
    found = removal.hosts(deployment(without=[THREE]), live, ("pg-test-3", THREE))
    assert found == (ONE, TWO, "10.1.1.19", THREE)


def test_a_plan_is_plain_data(world):
    data = removal.plan(world(), Wish(("pg-test-3",))).to_dict()
    assert data["members"] == [{"member": "pg-test-3", "host": THREE, "there": True, "data": True}]
    assert data["whole"] is False and data["plan"]


def test_of_a_whole_cluster_what_is_left_depends_on_its_store(world, deployment):
    plan = removal.plan(world(), Wish())
    (line,) = removal.afterwards(plan, deployment())
    assert "`pigsty apply -m etcd` removes its user" in line
    (line,) = removal.afterwards(plan, deployment(pg_dcs_type="consul"))
    assert "its token out of Consul" in line and "etcd" not in line


def test_one_that_was_in_consul_and_was_forgotten_stays_because_its_token_is_needed(
    world, deployment
):
    live = living("", members=(), initialized=False)
    known = world(deployment(cluster=False), live, {THREE: trace("pg-test-3", store="consul")})
    assert "put it back there first" in refused(known, Wish())
    declared = deployment(pg_dcs_type="consul")
    again = world(declared, traces={THREE: trace("pg-test-3", store="consul")})
    assert removal.plan(again, Wish()).whole
