// What the scenarios share: a client of either version of matrix-js-sdk, and ways to wait. `node scenario.mjs '<json>'`,
// where the argument holds {baseUrl, token: a registration token, sdk: "matrix-js-sdk" | "matrix-js-sdk-34"}.
import assert from "node:assert/strict";
import { registerHooks } from "node:module";

export { assert };
export const settings = JSON.parse(process.argv[2]);

// The library says much; the end of it is shown when a scenario fails.
const said = [];
for (const level of ["trace", "debug", "log", "info", "warn", "error"]) {
    console[level] = (...words) => {
        said.push(words.map((word) => (word instanceof Error ? `${word}` : typeof word === "string" ? word : "…")).join(" "));
        if (said.length > 40) said.shift();
    };
}

// The older version is written for a bundler, which may import a folder.
registerHooks({
    resolve(name, context, next) {
        try {
            return next(name, context);
        } catch (error) {
            if (error.code !== "ERR_UNSUPPORTED_DIR_IMPORT") throw error;
            return next(`${name}/index.js`, context);
        }
    },
});
export const sdk = await import(settings.sdk);

const deadline_ms = 30_000;
const password = "correct horse battery staple";
const started = [];

export function step(sentence) {
    process.stdout.write(`${sentence}\n`);
}

/** Waits until ask() gives something true, looking again at each of the emitter's events and every 50 ms. */
export async function until(what, ask) {
    const end = Date.now() + deadline_ms;
    for (;;) {
        const found = await ask();
        if (found) return found;
        if (Date.now() > end) throw new Error(`gave up waiting: ${what}`);
        await new Promise((wake) => setTimeout(wake, 50));
    }
}

/** Waits for a promise no longer than for anything else. */
export async function within(what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`gave up waiting: ${what}`)), deadline_ms);
    });
    return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Does a request that wants user-interactive authentication, with the password. */
export async function withPassword(userId, request) {
    try {
        return await request(null);
    } catch (error) {
        if (error.httpStatus !== 401) throw error;
        return await request({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: userId },
            password,
            session: error.data.session,
        });
    }
}

/** Registers with an invitation, as a client's form does: ask, be told the stages, go through them. */
export async function registered(name) {
    const anybody = sdk.createClient({ baseUrl: settings.baseUrl });
    const body = { username: name, password, initial_device_display_name: `${name}'s first device` };
    let refusal;
    await anybody.registerRequest(body).catch((error) => (refusal = error));
    assert.equal(refusal.httpStatus, 401);
    const stages = refusal.data.flows.map((flow) => flow.stages);
    assert(stages.some((flow) => flow.includes("m.login.registration_token")), JSON.stringify(stages));
    const auth = { type: "m.login.registration_token", token: settings.token, session: refusal.data.session };
    try {
        return await anybody.registerRequest({ ...body, auth });
    } catch (error) {
        // Some flows end with a stage that asks for nothing.
        if (error.httpStatus !== 401) throw error;
        return await anybody.registerRequest({ ...body, auth: { type: "m.login.dummy", session: error.data.session } });
    }
}

export async function loggedIn(userId) {
    const body = {
        identifier: { type: "m.id.user", user: userId },
        password,
        initial_device_display_name: "another device",
    };
    const anybody = sdk.createClient({ baseUrl: settings.baseUrl });
    if (!anybody.loginRequest) return await anybody.login("m.login.password", body);
    return await anybody.loginRequest({ type: "m.login.password", ...body });
}

/** What the server says about the session's key backup, without the library's memory of it. */
export async function backup(made) {
    const headers = { authorization: `Bearer ${made.getAccessToken()}` };
    return await (await fetch(`${settings.baseUrl}/_matrix/client/v3/room_keys/version`, { headers })).json();
}

/** A client with Rust cryptography, synchronised. recoveryKey: what it answers when secret storage asks. */
export async function client(session, options = {}) {
    const made = sdk.createClient({
        baseUrl: settings.baseUrl,
        accessToken: session.access_token,
        userId: session.user_id,
        deviceId: session.device_id,
        verificationMethods: ["m.sas.v1"],
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => [Object.keys(keys)[0], made.recoveryKey],
        },
    });
    made.recoveryKey = options.recoveryKey;
    started.push(made);
    await made.initRustCrypto({ useIndexedDB: false });
    const synchronised = new Promise((resolve) => {
        made.on("sync", (state) => {
            if (state === "PREPARED" || state === "SYNCING") resolve();
        });
    });
    await made.startClient({ initialSyncLimit: 20, threadSupport: true, ...options.start?.(made) });
    await within("the first sync", synchronised);
    return made;
}

/** Cross-signing, secret storage and key backup, as a client's first-run assistant sets them up. */
export async function securedAccount(made) {
    const crypto = made.getCrypto();
    await crypto.bootstrapCrossSigning({
        authUploadDeviceSigningKeys: (request) => withPassword(made.getUserId(), request),
    });
    const key = await crypto.createRecoveryKeyFromPassphrase();
    made.recoveryKey = key.privateKey;
    await crypto.bootstrapSecretStorage({
        createSecretStorageKey: async () => key,
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    assert(await crypto.isCrossSigningReady());
    assert(await crypto.isSecretStorageReady());
    await until("an active backup", () => crypto.getActiveSessionBackupVersion());
    return made;
}

/** The account's cross-signing keys on a device that has only the recovery key. */
export async function recovered(made) {
    await until("the account's keys", () => made.getCrypto().userHasCrossSigningKeys(made.getUserId(), true));
    await made.getCrypto().bootstrapCrossSigning({});
    return made;
}

/** Fetches the room keys of the backup; how many. The older version has another way to say so. */
export async function restored(made) {
    const crypto = made.getCrypto();
    if (!crypto.restoreKeyBackup) return (await made.restoreKeyBackupWithSecretStorage(await made.getKeyBackupVersion())).imported;
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    await crypto.checkKeyBackupAndEnable();
    return (await crypto.restoreKeyBackup({})).imported;
}

export async function encryptedRoom(owner, guests) {
    const { room_id: roomId } = await owner.createRoom({
        preset: "private_chat",
        invite: guests.map((guest) => guest.getUserId()),
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    for (const guest of guests) {
        await until("an invitation", () => guest.getRoom(roomId)?.getMyMembership() === "invite");
        await guest.joinRoom(roomId);
    }
    for (const member of [owner, ...guests]) {
        await until(
            "everybody in the room, which is encrypted",
            () =>
                member.getRoom(roomId)?.getJoinedMemberCount() === guests.length + 1 &&
                member.getRoom(roomId).hasEncryptionStateEvent(),
        );
    }
    return roomId;
}

/** The event in the reader's room, decrypted, once it is there. */
export async function read(reader, roomId, eventId) {
    return await until(`event ${eventId} readable`, () => {
        const event = reader.getRoom(roomId)?.findEventById(eventId);
        return event && !event.isBeingDecrypted() && !event.isEncryptedAndUndecrypted?.() && event.getContent().body
            ? event
            : undefined;
    });
}

export async function scenario(tell) {
    try {
        await tell();
    } catch (error) {
        process.stderr.write(`${said.join("\n")}\n${error?.stack ?? error}\n`);
        process.exit(1);
    }
    for (const made of started) made.stopClient();
    process.exit(0);
}
