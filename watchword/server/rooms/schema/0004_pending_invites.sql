-- Invites of local users that wait for an answer: looked through when somebody is banned from this server.
CREATE INDEX memberships_pending ON memberships (room_nid, user_nid) WHERE membership = 'invite' AND is_local = 1;
