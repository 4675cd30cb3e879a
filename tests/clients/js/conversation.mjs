// Two people talk in an encrypted room: messages, threads, reactions, edits, receipts, typing, a file, a redaction.
import { assert, client, encryptedRoom, read, registered, scenario, sdk, securedAccount, step, until } from "./town.mjs";

await scenario(async () => {
    const alice = await securedAccount(await client(await registered(`alice.${process.pid}`)));
    const bob = await securedAccount(await client(await registered(`bob.${process.pid}`)));
    step("both have registered, with cross-signing, secret storage and a key backup");

    const roomId = await encryptedRoom(alice, [bob]);
    const { event_id: first } = await alice.sendTextMessage(roomId, "hello from the web");
    assert.equal((await read(bob, roomId, first)).getContent().body, "hello from the web");
    const { event_id: answer } = await bob.sendTextMessage(roomId, "I hear you");
    assert((await read(alice, roomId, answer)).isEncrypted());
    step("each read what the other wrote");

    const inThread = {
        "msgtype": "m.text",
        "body": "apart",
        "m.relates_to": {
            "rel_type": "m.thread",
            "event_id": first,
            "is_falling_back": true,
            "m.in_reply_to": { event_id: first },
        },
    };
    const { event_id: reply } = await alice.sendEvent(roomId, first, "m.room.message", inThread);
    const thread = await until("the thread", () => bob.getRoom(roomId).getThread(first));
    await until("its reply", () => thread.findEventById(reply)?.getContent().body === "apart");
    assert.equal(thread.length, 1);
    await bob.getRoom(roomId).createThreadsTimelineSets();
    await bob.getRoom(roomId).fetchRoomThreads();
    assert.deepEqual(bob.getRoom(roomId).getThreads().map((each) => each.id), [first]);
    const related = await bob.relations(roomId, first, "m.thread", null);
    assert.deepEqual(related.events.map((event) => event.getId()), [reply]);
    step("a thread began and is listed");

    const { event_id: reaction } = await bob.sendEvent(roomId, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: first, key: "👍" },
    });
    await until("the reaction", () => alice.getRoom(roomId).findEventById(reaction));
    const twice = bob.sendEvent(roomId, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: first, key: "👍" },
    });
    await assert.rejects(twice, (error) => error.errcode === "M_DUPLICATE_ANNOTATION");
    step("a reaction counts once");

    const edit = {
        "msgtype": "m.text",
        "body": "* I do hear you",
        "m.new_content": { msgtype: "m.text", body: "I do hear you" },
        "m.relates_to": { rel_type: "m.replace", event_id: answer },
    };
    await bob.sendEvent(roomId, "m.room.message", edit);
    await until("the edit", () => alice.getRoom(roomId).findEventById(answer).getContent().body === "I do hear you");
    step("an edit replaced what was said");

    await bob.sendReadReceipt(bob.getRoom(roomId).findEventById(answer));
    await alice.sendReadReceipt(alice.getRoom(roomId).findEventById(answer));
    await until("bob's receipt", () => alice.getRoom(roomId).hasUserReadEvent(bob.getUserId(), answer));
    const { event_id: unread } = await bob.sendTextMessage(roomId, "one more");
    await until("an unread message", () => alice.getRoom(roomId).getUnreadNotificationCount() === 1);
    await read(alice, roomId, unread);
    await alice.sendReadReceipt(alice.getRoom(roomId).findEventById(unread));
    await until("nothing unread", () => alice.getRoom(roomId).getUnreadNotificationCount() === 0);
    step("receipts and unread counts agree");

    await bob.sendTyping(roomId, true, 5_000);
    await until("bob typing", () => alice.getRoom(roomId).getMember(bob.getUserId()).typing);
    await alice.setDisplayName("Alice of the web");
    await until("her name", () => bob.getRoom(roomId).getMember(alice.getUserId()).name === "Alice of the web");
    step("typing and names travel");

    const { content_uri: uri } = await alice.uploadContent(Buffer.from("a file"), { name: "a.txt", type: "text/plain" });
    const url = bob.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
    const file = await fetch(url, { headers: { authorization: `Bearer ${bob.getAccessToken()}` } });
    assert.equal(await file.text(), "a file");
    step("a file arrived");

    await alice.redactEvent(roomId, first);
    await until("the redaction", () => bob.getRoom(roomId).findEventById(first).isRedacted());
    step("a redaction took effect");
    assert(sdk.MatrixEvent);
});
