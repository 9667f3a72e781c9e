"""supervisord as its clients know it: XML-RPC, event listeners and web page over genii's supervisor."""
