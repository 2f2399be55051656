# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network cards with several pairs of queues, whose control queue the frontend serves by itself."""

import os
import random
import signal
import time

import pytest

from sim.backend import (F_MQ, F_REPLY_ACK, GET_FEATURES, PROTOCOL_FEATURES_BIT, SET_VRING_ADDR,
                         SET_VRING_BASE, SET_VRING_CALL, SET_VRING_ENABLE, SET_VRING_KICK,
                         SET_VRING_NUM, Hangup)
from sim.client import F_XEN_MMAP
from sim.guest import NEEDS_RESET, QUEUE_NOTIFY, QUEUE_RESET, QUEUE_SEL, RING_RESET, VERSION_1
from sim.net import ERR, F_CTRL_VQ, F_MQ as NET_F_MQ, F_STATUS, NET, OK, Card, wait_until
from sim.rings import EVENT_IDX, IN_ORDER, INDIRECT_DESC
from sim.test_config_space import card

PAIRS = 4
TRANSPORT = [VERSION_1, VERSION_1 | INDIRECT_DESC, VERSION_1 | EVENT_IDX,
             VERSION_1 | INDIRECT_DESC | EVENT_IDX]
COMMANDS = 5  # at once: each takes three descriptors of a ring of 16


def be_card(machine, pairs=PAIRS, *options):
    """A card of so many pairs, whose driver is up. Returns it."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=pairs)
    machine.backend = machine.reference_backend("--type=net", f"--queues={2 * pairs}", "--trace",
                                                *options)
    machine.process = machine.frontend().wait_ready()
    driver = Card(machine.xen).bring_up()
    wait_until(lambda: requests(machine, "set-status") == 2, "last message of the start")
    return driver


def requests(machine, name=""):
    """How many messages the backend has had so far, of all kinds or of one."""
    return machine.backend.log.count(f"request: {name}")


def assert_in_use(driver, n_pairs):
    """Frames of these pairs come back; those of others lie where they were put."""
    for pair in range(n_pairs, driver.n_pairs):
        driver.send(pair, b"x" * 60)
    for number in range(6):
        for pair in range(n_pairs):
            driver.exchange(pair, bytes([number, pair]) * 30)
    for pair in range(n_pairs, driver.n_pairs):
        assert not driver.is_sent(pair)
        assert not driver.rings[2 * pair].is_used


def release(driver, n_pairs, before):
    """The pairs that have come into use do what was asked of them meanwhile."""
    for pair in range(before, n_pairs):
        assert driver.receive(pair) == b"x" * 60
        wait_until(lambda pair=pair: driver.is_sent(pair), "end of sending")
        driver.rings[2 * pair + 1].take()


# What works.

@pytest.mark.parametrize("transport", TRANSPORT, ids=hex)
def test_pairs(machine, transport):
    """One at first, and as many as the driver asks for, again and again."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=PAIRS)
    machine.reference_backend("--type=net", f"--queues={2 * PAIRS}")
    machine.frontend().wait_ready()
    driver = Card(machine.xen).bring_up(transport | F_STATUS | F_CTRL_VQ | NET_F_MQ)
    assert driver.n_pairs == PAIRS
    assert_in_use(driver, 1)
    for before, n_pairs in ((1, 2), (2, 3), (3, 4)):
        assert driver.set_pairs(n_pairs) == OK
        release(driver, n_pairs, before)
        for pair in range(n_pairs, PAIRS):  # what lies there is enough
            assert not driver.is_sent(pair)
        for pair in range(n_pairs):
            driver.exchange(pair, os.urandom(1000))
    for n_pairs in (4, 2, 1):
        assert driver.set_pairs(n_pairs) == OK
    assert_in_use(driver, 1)
    assert driver.set_pairs(4) == OK
    release(driver, 4, 1)
    assert_in_use(driver, 4)


def test_what_is_offered(machine):
    """What is served here, and what the backend has, but for packed rings."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=31)
    machine.reference_backend("--type=net", f"--queues={2 * PAIRS}")
    machine.frontend().wait_ready()
    driver = Card(machine.xen)
    driver.reset()
    assert driver.device_features() == \
        VERSION_1 | INDIRECT_DESC | EVENT_IDX | IN_ORDER | F_STATUS | F_CTRL_VQ | NET_F_MQ
    assert driver.space(10) == card(pairs=PAIRS)[:10]


def test_messages(machine):
    """What is sent for a command: one for each queue that it is about, and one that waits."""
    driver = be_card(machine)
    for before, n_pairs in ((1, 4), (4, 4), (4, 2), (2, 3), (3, 1), (1, 1)):
        enables, messages = requests(machine, "set-vring-enable"), requests(machine)
        assert driver.set_pairs(n_pairs) == OK
        queues = 2 * abs(n_pairs - before)
        assert requests(machine, "set-vring-enable") - enables == queues
        assert requests(machine) - messages == (queues + 1 if queues else 0)


def test_many_commands_at_once(machine):
    """With one kick for all: they are carried out one after the other."""
    driver = be_card(machine)
    wanted = [1 + number % PAIRS for number in range(COMMANDS)]
    answers = [driver.begin_pairs(n_pairs, kick=False) for n_pairs in wanted]
    driver.notify(driver.control)
    assert [driver.end_command(answer) for answer in answers] == [OK] * COMMANDS
    assert requests(machine, "set-vring-enable") == 2 * PAIRS + 2 * sum(
        abs(now - before) for before, now in zip([1, *wanted], wanted, strict=False))
    assert_in_use(driver, wanted[-1])


def test_interrupts_where_they_are_wanted(machine):
    """Linux wants none here; others may sleep."""
    driver = be_card(machine)
    ring = driver.rings[driver.control]
    for n_pairs in (2, 2, 9):
        before = machine.xen.raised()
        answer = driver.begin_pairs(n_pairs)
        driver.end_command(answer)
        assert machine.xen.raised() == before
        answer = driver.begin_pairs(n_pairs, kick=False)
        ring.allow_interrupts(True)
        driver.notify(driver.control)
        while not ring.is_used:
            driver.next_interrupt()
        driver.end_command(answer)
        assert machine.xen.raised() == before + 1


def test_a_driver_without_pairs(machine):
    """Without MQ the control queue is behind the first pair, and can do nothing."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=PAIRS)
    machine.reference_backend("--type=net", f"--queues={2 * PAIRS}")
    machine.frontend().wait_ready()
    driver = Card(machine.xen)
    for features in (F_CTRL_VQ, 0):
        driver.bring_up(VERSION_1 | features)
        assert driver.control == 2
        if features:
            assert driver.set_pairs(1) == ERR
        assert_in_use(driver, 1)


@pytest.mark.parametrize("setting", ["relay", "irqfd", "kernel"])
def test_notifications_by_the_kernel(machine, setting):
    """Which has nothing to do with the control queue."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=2)
    machine.reference_backend("--type=net", "--queues=4")
    machine.xen.has_kernel_paths = True
    machine.frontend(XEN_VIRTIO_NOTIFY=setting).wait_ready()
    driver = Card(machine.xen).bring_up()
    assert set(machine.xen.bound) == {"relay": set(), "irqfd": {None},
                                      "kernel": {None, 0, 1, 2, 3}}[setting]
    assert driver.set_pairs(2) == OK
    assert_in_use(driver, 2)


# What the backend is told, word by word.

def scripted(machine, pairs=2, more=0, **attributes):
    """A card whose backend records. It counts pairs."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=pairs)
    attributes = {"features": VERSION_1 | PROTOCOL_FEATURES_BIT | NET_F_MQ | more,
                  "protocol_features": F_MQ | F_REPLY_ACK} | attributes
    machine.backend = machine.scripted_backend(**attributes)
    machine.backend.n_queues = pairs
    machine.process = machine.frontend().wait_ready()
    return Card(machine.xen).bring_up(more=more)


def enabled(connection):
    """What was enabled and disabled: (queue, whether), in order."""
    return [message.state for message in connection.messages
            if message.request == SET_VRING_ENABLE]


def queues_named(connection):
    """All queues that the backend was told anything of."""
    numbered = (SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_ENABLE)
    return {message.state[0] for message in connection.messages if message.request in numbered
            and len(message.payload) == 8} | \
        {message.u64 & 0xff for message in connection.messages
         if message.request in (SET_VRING_KICK, SET_VRING_CALL)}


def test_what_the_backend_hears(machine):
    """All queues but the control queue, of which the first pair is enabled; a reset begins anew."""
    driver = scripted(machine)
    first = [(0, 1), (1, 1), (2, 0), (3, 0)]
    connection = machine.backend.connection
    assert enabled(connection) == first
    assert driver.set_pairs(2) == OK
    assert enabled(connection) == [*first, (2, 1), (3, 1)]
    assert connection.requests()[-3:] == [SET_VRING_ENABLE, SET_VRING_ENABLE, GET_FEATURES]
    assert queues_named(connection) == {0, 1, 2, 3}
    driver.bring_up()
    assert enabled(machine.backend.connection) == first
    # It does not offer CTRL_VQ, and does not hear of it.
    assert all(not message.u64 & F_CTRL_VQ for message in machine.backend.connection.messages
               if len(message.payload) == 8)


def remake_queue(driver, queue):
    """Resets a queue, and makes it anew."""
    ring = driver.rings[queue]
    driver.write(QUEUE_SEL, queue)
    driver.write(QUEUE_RESET, 1)
    driver.xen.memory.write(ring.used, bytes(8))
    driver.xen.memory.write(ring.available, bytes(8))
    driver.set_queue(queue, 16, ring.descriptors, ring.available, ring.used)


def test_reset_of_a_queue(machine):
    """It is enabled as its pair is; that of the control queue is between us and the driver."""
    driver = scripted(machine, more=RING_RESET)
    connection = machine.backend.connection
    for n_pairs in (1, 2):
        assert driver.set_pairs(n_pairs) == OK
        for queue in range(4):
            remake_queue(driver, queue)
            machine.backend.wait_for(
                lambda queue=queue, on=int(queue < 2 * n_pairs): enabled(connection)[-1] ==
                (queue, on), "start of the queue")
    before = len(connection.messages)
    driver.rings.pop()
    driver.write(QUEUE_SEL, driver.control)
    driver.write(QUEUE_RESET, 1)
    driver.add_ring(driver.control)
    assert driver.set_pairs(2) == OK
    assert len(connection.messages) == before


def test_a_backend_that_ends_with_a_command(machine):
    """The driver gets its answer, though there is nobody, and the next one knows."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=PAIRS)
    misbehave = ["--misbehave=set-vring-enable:close", "--misbehave-connections=1"]
    machine.backend = machine.reference_backend("--type=net", "--queues=8")
    machine.process = machine.frontend().wait_ready()
    driver = Card(machine.xen).bring_up()
    machine.backend.kill()
    assert driver.set_pairs(3) == OK
    machine.backend = machine.reference_backend("--type=net", "--queues=8", *misbehave)
    assert_in_use(driver, 3)


def test_a_backend_that_hangs_up_at_a_command(machine):
    """Where it was is not known: the driver has its answer, and has to reset the card."""
    driver = scripted(machine)

    def hang_up(message):
        if message.request == SET_VRING_ENABLE:
            raise Hangup
        return answer(message)
    answer, machine.backend.answer = machine.backend.answer, hang_up
    assert driver.set_pairs(2) == OK
    wait_until(lambda: driver.status & NEEDS_RESET, "NEEDS_RESET")
    machine.backend.answer = answer
    driver.bring_up()
    assert driver.set_pairs(2) == OK


@pytest.mark.parametrize("first, then", [(4, 2), (2, 4), (4, 1)])
def test_a_backend_with_other_pairs(machine, first, then):
    """Its queues are not those that the driver has: it has to reset the card, which is new then."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=4)
    machine.backend = machine.reference_backend("--type=net", f"--queues={2 * first}")
    machine.frontend().wait_ready()
    driver = Card(machine.xen).bring_up()
    assert driver.set_pairs(first) == OK
    assert_in_use(driver, first)
    machine.backend.kill()
    machine.backend = machine.reference_backend("--type=net", f"--queues={2 * then}")
    wait_until(lambda: driver.status & NEEDS_RESET, "NEEDS_RESET")
    driver.bring_up()
    assert driver.n_pairs == then
    assert then == 1 or driver.set_pairs(then) == OK
    assert_in_use(driver, then)


# Restarts.

@pytest.mark.parametrize("keeps", [False, True], ids=["anew", "kept"])
@pytest.mark.parametrize("ends", ["killed", "stopped", "restarted", "backend"])
def test_restart(machine, keeps, ends):
    """Who comes next knows how many pairs are in use."""
    if keeps:
        machine.keep_descriptors()
    driver = be_card(machine)
    for n_pairs in (3, 1, 4, 2):
        assert driver.set_pairs(n_pairs) == OK
        if ends == "backend":
            machine.backend.kill()
            machine.backend = machine.reference_backend("--type=net", "--queues=8", "--trace")
        else:
            if ends == "killed":
                machine.process.kill()
            else:
                machine.process.process.send_signal(
                    signal.SIGTERM if ends == "stopped" else signal.SIGINT)
                machine.process.wait_exit(0)
            machine.process = machine.frontend().wait_ready()
        for number in range(4):
            for pair in range(n_pairs):
                driver.exchange(pair, bytes([number, pair]) * 100)
        enables = requests(machine, "set-vring-enable")
        assert driver.set_pairs(n_pairs) == OK  # it is so
        assert requests(machine, "set-vring-enable") == enables


def test_a_command_that_nobody_was_there_for(machine):
    """The next frontend looks by itself: the driver has told of it."""
    driver = be_card(machine)
    machine.process.kill()
    answer = driver.begin_pairs(2, kick=False)
    machine.process = machine.frontend().wait_ready()
    assert driver.end_command(answer) == OK
    assert_in_use(driver, 2)


def test_a_command_while_nobody_is_there(machine):
    """The next frontend need not wait for a backend, which then knows."""
    driver = be_card(machine)
    machine.backend.kill()
    machine.process.kill()
    answer = driver.begin_pairs(3, kick=False)
    machine.process = machine.frontend()
    assert driver.end_command(answer) == OK
    machine.backend = machine.reference_backend("--type=net", "--queues=8")
    assert_in_use(driver, 3)


def test_a_command_while_the_rings_start(machine):
    """It waits: the backend is just being told of the pairs so far."""
    driver = be_card(machine)
    machine.backend.kill()
    machine.backend = machine.reference_backend("--type=net", "--queues=8", "--trace",
                                                "--misbehave=set-mem-table:slow:300")
    wait_until(lambda: machine.backend.was_asked("set-mem-table"), "start of the rings")
    assert driver.set_pairs(4) == OK
    assert requests(machine, "set-vring-enable") == 2 * PAIRS + 2 * (PAIRS - 1)
    assert_in_use(driver, 4)


def test_what_is_kept(machine):
    """The control queue has no descriptor."""
    machine.keep_descriptors()
    be_card(machine, 2)
    machine.store.settle()
    assert sorted(machine.store.names) == ["call", "channel", "connection", "kick0", "kick1",
                                           "kick2", "kick3"]


def test_killed_at_a_command(machine):
    """At any moment: it is carried out, and answered once."""
    machine.keep_descriptors()
    driver = be_card(machine)
    chance, n_pairs = random.Random(9), 1
    for _ in range(30):
        n_pairs = 1 + (n_pairs + chance.randrange(3)) % PAIRS
        answer = driver.begin_pairs(n_pairs, kick=False)
        driver.rings[driver.control].wants_kick()
        driver.vcpu.begin(QUEUE_NOTIFY, value=driver.control)
        time.sleep(chance.random() * 0.002)
        machine.process.kill()
        machine.process = machine.frontend()
        driver.vcpu.finish()
        assert driver.end_command(answer) == OK
        for pair in range(n_pairs):
            driver.exchange(pair, b"y" * 80)
    machine.process.wait_ready()
    assert driver.set_pairs(1) == OK
    assert_in_use(driver, 1)


# Cards that have one pair.

def stream(machine, **keys):
    """All that a backend with pairs, which are not used, is sent: requests and what is in them."""
    machine.be_of_type(NET, **keys)
    backend = machine.scripted_backend(
        features=VERSION_1 | PROTOCOL_FEATURES_BIT | NET_F_MQ | F_CTRL_VQ,
        protocol_features=F_MQ | F_REPLY_ACK)
    process = machine.frontend().wait_ready()
    driver = Card(machine.xen).bring_up()
    assert not driver.features & (NET_F_MQ | F_CTRL_VQ)
    messages = [(message.request, message.payload, len(message.fds))
                for message in backend.connection.messages if message.request != SET_VRING_ADDR]
    driver.reset()
    process.kill()
    backend.stop()
    return messages


def test_one_pair_is_no_key(machine):
    assert stream(machine) == stream(machine, NET_QUEUE_PAIRS=1)


@pytest.mark.parametrize("what", ["grants", "pairs", "feature"])
def test_one_pair_is_told_of(machine, what):
    """Where no more can be had, once."""
    machine.be_of_type(NET, NET_QUEUE_PAIRS=PAIRS)
    if what == "grants":
        text = (machine.folder / "launch").read_text()
        machine.write_launch(text.replace("GRANT_USAGE=0", "GRANT_USAGE=1"))
    backend = machine.scripted_backend(
        features=VERSION_1 | PROTOCOL_FEATURES_BIT | (0 if what == "feature" else NET_F_MQ),
        protocol_features=F_MQ | F_REPLY_ACK | F_XEN_MMAP, n_queues=1 if what == "pairs" else 64)
    process = machine.frontend().wait_ready()
    driver = Card(machine.xen)
    driver.reset()
    assert not driver.device_features() & (F_CTRL_VQ | NET_F_MQ)
    backend.connection.close()
    backend.wait_for(lambda: len(backend.connections) > 1, "connection")
    assert process.log.count("the card has one pair of queues: ") == 1
