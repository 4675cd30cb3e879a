// A second device logs in: it is verified by emoji, signed by the account, and reads what was said before it came.
import { assert, backup, client, encryptedRoom, loggedIn, read, recovered, registered, restored, scenario, securedAccount, step, until, within } from "./town.mjs";

async function verified(asking, answering) {
    const asked = new Promise((resolve) => answering.on("crypto.verificationRequestReceived", resolve));
    const request = await asking.getCrypto().requestOwnUserVerification();
    const received = await within("the request on the other device", asked);
    await received.accept();
    await until("ready", () => request.phase === 3);
    const shown = (verifier) =>
        new Promise((resolve) => verifier.on("show_sas", (sas) => resolve(sas)));
    const verifier = await request.startVerification("m.sas.v1");
    const mine = shown(verifier);
    const done = verifier.verify();
    const other = await until("the other side's verifier", () => received.verifier);
    const theirs = shown(other);
    const otherDone = other.verify();
    const [left, right] = await within("the emoji", Promise.all([mine, theirs]));
    assert.deepEqual(left.sas.emoji, right.sas.emoji);
    await Promise.all([left.confirm(), right.confirm()]);
    await within("both to be done", Promise.all([done, otherDone]));
}

await scenario(async () => {
    const alice = await securedAccount(await client(await registered(`alice.${process.pid}`)));
    const bob = await securedAccount(await client(await registered(`bob.${process.pid}`)));
    const roomId = await encryptedRoom(alice, [bob]);
    const { event_id: before } = await bob.sendTextMessage(roomId, "said before");
    await read(alice, roomId, before);
    await until("the key in the backup", async () => (await backup(alice)).count > 0);
    step("the key of what was said is in the backup");

    const second = await client(await loggedIn(alice.getUserId()));
    await verified(second, alice);
    const status = await until("a signed device", async () => {
        const found = await alice.getCrypto().getDeviceVerificationStatus(alice.getUserId(), second.getDeviceId());
        return found?.crossSigningVerified && found;
    });
    assert(status.isVerified());
    assert(await second.getCrypto().isCrossSigningReady());
    step("the devices compared emoji, and the account signed the new one");

    const { event_id: after } = await bob.sendTextMessage(roomId, "said after");
    await read(second, roomId, after);
    step("the new device reads what is said from now on");

    const third = await recovered(await client(await loggedIn(alice.getUserId()), { recoveryKey: alice.recoveryKey }));
    assert((await restored(third)) > 0);
    assert.equal((await read(third, roomId, before)).getContent().body, "said before");
    step("a device with only the recovery key reads the history");

    const devices = await alice.getDevices();
    assert.equal(devices.devices.length, 3);
    await third.logout(true);
    await until("two devices", async () => (await alice.getDevices()).devices.length === 2);
    step("a device that logged out is gone");
});
