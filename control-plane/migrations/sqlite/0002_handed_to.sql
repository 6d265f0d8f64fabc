-- Agents that a call was handed to, in order, as JSON: of the call's events while it lasts, of its record afterwards.
ALTER TABLE calls ADD COLUMN handed_to TEXT NOT NULL DEFAULT '[]';
