"""The pages of the shop: functions from a request at the desk to a reply."""
