// A client that synchronises as mobile clients do: a window over the room list, encrypted rooms, subscriptions.
import { assert, client, encryptedRoom, loggedIn, read, recovered, registered, scenario, sdk, securedAccount, settings, step, until } from "./town.mjs";

const { SlidingSync } = await import(`${settings.sdk}/lib/sliding-sync.js`);

function sliding(made) {
    const list = {
        ranges: [[0, 9]],
        timeline_limit: 10,
        required_state: [["m.room.encryption", ""], ["m.room.name", ""], ["m.room.create", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"]],
    };
    const lists = new Map([["all", list]]);
    return { slidingSync: new SlidingSync(settings.baseUrl, lists, { timeline_limit: 20, required_state: [["*", "*"]] }, made, 2_000) };
}

await scenario(async () => {
    const alice = await securedAccount(await client(await registered(`alice.${process.pid}`)));
    const bob = await securedAccount(await client(await registered(`bob.${process.pid}`)));
    const roomId = await encryptedRoom(alice, [bob]);
    const phone = await recovered(await client(await loggedIn(bob.getUserId()), { start: sliding, recoveryKey: bob.recoveryKey }));
    await until("the room in the window", () => phone.getRoom(roomId)?.hasEncryptionStateEvent());
    step("the first window has the room");

    const { event_id: message } = await alice.sendTextMessage(roomId, "to the phone");
    assert.equal((await read(phone, roomId, message)).getContent().body, "to the phone");
    step("the phone decrypts what arrives: its keys came through the extension");

    const { event_id: answer } = await phone.sendTextMessage(roomId, "from the phone");
    await read(alice, roomId, answer);
    const later = await encryptedRoom(alice, [phone]);
    const { event_id: second } = await alice.sendTextMessage(later, "in the new room");
    await read(phone, later, second);
    step("an invitation arrived, and the new room after it");

    await alice.sendTyping(roomId, true, 5_000);
    await until("typing", () => phone.getRoom(roomId).getMember(alice.getUserId())?.typing);
    await alice.sendReadReceipt(await read(alice, roomId, answer));
    await until("a receipt", () => phone.getRoom(roomId).getEventReadUpTo(alice.getUserId()) === answer);
    step("typing and receipts come through their extensions");
    assert(sdk.ClientEvent);
});
