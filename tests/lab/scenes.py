"""The demo's scenes: 933, 911, the callback, and the same with one part after another taken away."""

from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN, PSAP_NUMBER, TENANT, TRUNK_GROUP, User
from lab.phones import Phone
from lab.recordings import THRESHOLD, digits_heard
from lab.services import prompts
from lab.sip_messages import SipMessage
from lab.sipp import Credentials
from lab.story import Story
from lab.trace import Captured

#: The seat of the Texas Legislature.
ADDRESS = ("A1=TX", "A3=Austin", "RD=Congress", "STS=Avenue", "HNO=1100", "PC=78701")


def tell_all(story: Story) -> None:
    """Every scene, in order."""
    system = story.system
    story.tell("alice's and bob's phones register, a PSAP takes its place behind the trunk")
    alice, bob, psap = system.phone(ALICE), system.phone(BOB), system.psap()
    readback(story, alice)
    emergency_from_a_talkative_device(story, psap)
    emergency(story, alice, psap)
    with_her_address(story, alice)
    the_line_drops(story, alice, bob, psap)
    without_postgresql(story, alice, psap)
    without_controller(story, alice, bob, psap)
    without_media_server(story, alice, bob, psap)
    back_again(story)


def readback(story: Story, alice: Phone) -> None:
    """933: the phone hears the leased number, twice."""
    with story.scene("alice dials 933", "She hears which number an emergency call from her phone would show."):
        story.tell("alice's phone dials 933 and listens to the whole announcement (about 30 s)")
        alice.dial("933")
        alice.established()
        alice.closed(within_s=60)
        lease = lease_of(story, ALICE)
        check_heard_number(story, alice, lease, ALICE)
        story.check("A3", "the number is held for alice from now on", ALICE.aor, holder_of(story, lease))
        window_min = story.system.lease_of(ALICE)["window_s"] / 60
        story.check("N2", "its window is at least an hour", "≥ 60 min", f"{window_min:g} min", ok=window_min >= 60)


def emergency_from_a_talkative_device(story: Story, psap: Phone) -> None:
    """911 with privacy and every identity header that a phone can send."""
    with story.scene(
        "alice's other device dials 911, asks for privacy and sends an identity of its own",
        "A SIPp device registered as alice sends Privacy, P-Preferred-Identity, P-Asserted-Identity, Remote-Party-ID, "
        "Diversion and a From with her own number. The PSAP must see the temporary number and nothing of hers.",
    ):
        system = story.system
        port = system.ports.one(DEVICE_ADDRESS)
        credentials = Credentials(ALICE.name, ALICE.password)
        story.tell("the device registers with digest authentication")
        story.check_ran("it registers", system.device("register", {}, port=port, credentials=credentials).run())
        own = f"sip:{ALICE.number}@{DOMAIN}"
        headers = "\n".join([
            "Privacy: id", f'P-Preferred-Identity: "Alice" <{own}>', f'P-Asserted-Identity: "Alice" <{own}>',
            f"Remote-Party-ID: <{own}>;party=calling;privacy=full", f"Diversion: <{own}>;reason=unconditional",
        ])  # fmt: skip
        story.tell("it dials 911")
        values = {"number": "911", "from": f'"Alice Doe" <{own}>', "headers": headers}
        call = system.device("call", values, port=port).run()
        story.check_ran("the call is answered and ended", call)
        psap.closed()
        lease = lease_of(story, ALICE)
        check_what_the_psap_sees(story, psap, lease)
        story.check_ran(
            "it leaves", system.device("register", {"expires": "0"}, port=port, credentials=credentials).run()
        )


def emergency(story: Story, alice: Phone, psap: Phone) -> None:
    """911 from a phone, heard on both sides; then the line drops."""
    with story.scene(
        "alice dials 911", "A real phone; each side plays a melody of its own, and must hear the other's."
    ):
        psap.forget_events()
        dial_911(story, alice, psap)
        check_what_the_psap_sees(story, psap, lease_of(story, ALICE))
        story.tell("the line drops")
        hang_up(alice, psap)
        keep_both(story, alice, psap)


def with_her_address(story: Story, alice: Phone) -> None:
    """Her number is enhanced: the PSAP gets her address with the call, and `explain` says so beforehand."""
    with story.scene(
        "alice's number has a registered address",
        "Her number is enhanced (C2), and the trunk takes locations in the body (L1). `holdfast explain` shows the "
        "whole decision without calling; then she dials 911, and a SIPp answers in the place of another PSAP.",
    ):
        system = story.system
        run, other = system.holdfast.run, system.layout.trunks[1]
        story.tell("holdfast location create …; number set … --enhanced on; trunk-group set psap --location value")
        civic = [text for element in ADDRESS for text in ("--civic", element)]
        run("location", "create", "home", "--tenant", TENANT, "--country", "US", *civic, "--validation", "validated")
        run("number", "set", ALICE.number, "--location", "home", "--enhanced", "on")
        run("trunk-group", "set", TRUNK_GROUP, "--location", "value")
        run("trunk", "set", system.layout.trunks[0].name, "--enabled", "off")
        system.wait_synced()
        explained = system.holdfast.json("explain", "--user", ALICE.name, "--dial", "911")
        for step in explained["steps"]:
            story.tell(f"explain: {step['topic']}: {step['finding']} ({step['because']})")
        psap = system.trunk_callee("uas_answers", {}, trunk=1).start()
        alice.forget_events()
        story.tell("alice's phone dials 911")
        alice.dial("911")
        alice.established()
        alice.hangup()
        alice.closed()
        [invite] = psap.wait().received("INVITE")
        said = f"{explained['destination']}, {explained['trunks'][0]['trunk']}"
        story.check("N6", "explain said where it goes", f"psap, {other.name}", said)
        for element in ADDRESS:
            told = "in it" if f">{element.partition('=')[2]}</" in invite else "not in it"
            story.check("L1", f"{element} in what the PSAP gets", "in it", told)
        geolocation = invite.get("Geolocation") or "none"
        story.check("L1", "Geolocation", "<cid:…>", geolocation, ok=geolocation.startswith("<cid:"))
        own = ALICE.number.removeprefix("+1")
        story.check("A2", f"alice's own number ({own}) in it", "nowhere", "in it" if own in invite else "nowhere")
        run("number", "set", ALICE.number, "--enhanced", "off", "--no-location")
        run("trunk-group", "set", TRUNK_GROUP, "--location", "none")
        run("trunk", "set", system.layout.trunks[0].name, "--enabled", "on")
        system.wait_synced()


def the_line_drops(story: Story, alice: Phone, bob: Phone, psap: Phone) -> None:
    """The callback reaches alice although nothing else does."""
    with story.scene(
        "The PSAP calls back, and alice is not to be disturbed",
        "Do-not-disturb is on, inbound calls are off, and a forward to bob is set. An ordinary call is refused; the "
        "PSAP's call to the temporary number goes through the media server and rings her phone.",
    ):
        story.tell("holdfast user set alice --dnd on --inbound off --forward-to bob@…")
        story.system.holdfast.run("user", "set", "alice", "--dnd", "on", "--inbound", "off", "--forward-to", BOB.aor)
        story.system.wait_synced()
        alice.forget_events()
        bob.forget_events()
        story.tell("bob calls alice")
        bob.dial(f"sip:alice@{DOMAIN}")
        reason = bob.closed().detail
        story.check("D4", "an ordinary call to alice is refused", "4xx", reason, ok=reason.startswith("4"))
        rang = [event.type for event in alice.events() if event.type == "CALL_INCOMING"]
        story.check("D4", "her phone did not ring for it", "no ring", "rang" if rang else "no ring")
        mark = story.system.collector.mark()
        call_back(story, alice, psap)
        check_callback(story, alice, story.captured(mark), through_media=True)


def without_postgresql(story: Story, alice: Phone, psap: Phone) -> None:
    with story.scene("The same with PostgreSQL stopped", "The node holds everything that a call needs."):
        story.tell("PostgreSQL is stopped")
        story.system.postgres.stop()
        story.check("N1", "PostgreSQL", "down", "up" if story.system.postgres.running else "down")
        again(story, alice, psap, through_media=True)


def without_controller(story: Story, alice: Phone, bob: Phone, psap: Phone) -> None:
    with story.scene(
        "… and the call controller killed",
        "The media server's dialplan carries on alone. Meanwhile bob dials 933, which it must announce by itself.",
    ):
        story.tell("the call controller is killed (SIGKILL)")
        story.system.controller.kill()
        bob.forget_events()
        story.tell("bob dials 933 and listens, while alice's call goes on")
        bob.dial("933")
        bob.established()
        again(story, alice, psap, through_media=True)
        story.tell("bob still listens, to the end of the announcement (about 25 s)")
        bob.closed(within_s=60)
        check_heard_number(story, bob, lease_of(story, BOB), BOB)


def without_media_server(story: Story, alice: Phone, bob: Phone, psap: Phone) -> None:
    with story.scene(
        "… and the media server killed",
        "All three are down. Kamailio delivers the callback straight to the phone; 933 says clearly that it cannot.",
    ):
        story.tell(f"{story.system.media_name} is killed (SIGKILL)")
        story.system.media.kill()
        again(story, alice, psap, through_media=False)
        bob.forget_events()
        story.tell("bob dials 933")
        bob.dial("933")
        reason = bob.closed().detail
        story.check("N1", "933 is refused at once, with a reason", "503 …", reason, ok=reason.startswith("503"))


def back_again(story: Story) -> None:
    with story.scene("Everything comes back", "What happened during the outage is reported to PostgreSQL."):
        story.tell("PostgreSQL, the media server and the controller are started again")
        story.system.postgres.start()
        story.system.restart("media")
        story.system.restart("controller")
        story.system.wait_shipped()
        listed = story.system.holdfast.json("lease", "list", "--plane")
        numbers = sorted({str(lease["number"]) for lease in listed})
        held = sorted(str(lease["number"]) for lease in story.system.leases())
        story.check("N1", "holdfast lease list --plane shows the node's leases", ", ".join(held), ", ".join(numbers))


# steps ----------------------------------------------------------------------------------------------------------------


def again(story: Story, alice: Phone, psap: Phone, *, through_media: bool) -> None:
    """911 and its callback once more."""
    before = lease_of(story, ALICE)
    for phone in (alice, psap):
        phone.forget_events()
    dial_911(story, alice, psap)
    seen = psap.received("INVITE")[-1].address("From").user
    story.check("A2", "the PSAP sees the same temporary number", before, seen)
    hang_up(alice, psap)
    mark = story.system.collector.mark()
    call_back(story, alice, psap)
    check_callback(story, alice, story.captured(mark), through_media=through_media)


def dial_911(story: Story, alice: Phone, psap: Phone) -> None:
    """Alice calls, the PSAP answers by itself, and they hear each other."""
    story.tell("alice's phone dials 911")
    alice.dial("911")
    psap.established()
    alice.established()
    check_two_way(story, "A1", alice, psap)


def hang_up(one: Phone, other: Phone) -> None:
    one.hangup()
    one.closed()
    other.closed()


def call_back(story: Story, alice: Phone, psap: Phone) -> None:
    """The PSAP dials the number it saw; alice's phone rings and is answered; they hear each other; the PSAP ends it."""
    number = psap.received("INVITE")[-1].address("From").user
    for phone in (alice, psap):
        phone.forget_events()
    story.tell(f"the PSAP calls {number} back")
    psap.dial(f"sip:{number}@{story.system.layout.sip_address}:{story.system.layout.sip_port}")
    alice.ringing()
    story.tell("alice's phone rings; she answers")
    alice.answer()
    alice.established()
    psap.established()
    check_two_way(story, "A4", alice, psap)
    hang_up(psap, alice)
    keep_both(story, alice, psap)


def keep_both(story: Story, alice: Phone, psap: Phone) -> None:
    story.keep("What alice heard", alice)
    story.keep("What the PSAP heard", psap)


def check_two_way(story: Story, row: str, alice: Phone, psap: Phone) -> None:
    for listener, speaker in ((alice, psap), (psap, alice)):
        score = listener.hears(speaker.clip)
        what = f"{called(listener)} hears {called(speaker)} (matched filter)"
        story.check(row, what, f"≥ {THRESHOLD:.2f}", f"{score:.2f}", ok=score >= THRESHOLD)


def called(phone: Phone) -> str:
    return phone.name if phone.account.password else "the PSAP"


def check_heard_number(story: Story, phone: Phone, number: str, user: User) -> None:
    """The digits that arrived at the phone are the leased number, twice, and not the user's own."""
    recording = story.keep(f"What {phone.name} heard", phone)
    heard = digits_heard(recording, prompts() / "en" / "digits")
    digits = number.lstrip("+")
    story.check("A7", f"digits in what {phone.name} heard, in order: the temporary number, twice", digits * 2, heard)
    own = user.number.lstrip("+")
    story.check("A7", f"not {phone.name}'s own number", f"no {own}", f"{own} is in it" if own in heard else f"no {own}")


def check_what_the_psap_sees(story: Story, psap: Phone, number: str) -> None:
    invite = psap.received("INVITE")[-1]
    story.check("A2", "From, as the PSAP sees it", number, invite.address("From").user)
    story.check("A2", "P-Asserted-Identity, as the PSAP sees it", number, invite.address("P-Asserted-Identity").user)
    own = ALICE.number.removeprefix("+1")
    found = "in it" if own in invite else "nowhere"
    story.check("A2", f"alice's own number ({own}) in the whole message", "nowhere", found)
    names = ("Privacy", "P-Preferred-Identity", "Remote-Party-ID", "Diversion")
    left = [name for name in names if invite.all(name)]
    story.check("A2", "headers that ask for privacy or name the caller", "none", ", ".join(left) or "none")


def check_callback(story: Story, alice: Phone, passed: list[Captured], *, through_media: bool) -> None:
    invite = alice.received("INVITE")[-1]
    story.check("A4", "who calls, as alice's phone sees it", PSAP_NUMBER, invite.address("From").user)
    story.check("N9", "the call is marked", "psap-callback", invite.get("Priority") or "not marked")
    endpoint = story.system.media_endpoint
    legs = [message for item in passed if (message := invite_from(item, endpoint)) is not None]
    expected = "through the media server" if through_media else "straight from Kamailio"
    observed = "through the media server" if legs else "straight from Kamailio"
    story.check("A4" if through_media else "N1", "the way the callback took", expected, observed)


def invite_from(captured: Captured, endpoint: str) -> SipMessage | None:
    message = captured.message() if captured.source == endpoint else None
    return message if message is not None and message.is_request and message.method == "INVITE" else None


# leases ---------------------------------------------------------------------------------------------------------------


def lease_of(story: Story, user: User) -> str:
    """The number that this user holds; ValueError unless there is exactly one."""
    return str(story.system.lease_of(user)["number"])


def holder_of(story: Story, number: str) -> str:
    return ", ".join(str(lease["aor"]) for lease in story.system.leases() if lease["number"] == number)
