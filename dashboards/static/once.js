// A page that answers a form and shows a secret: reloading it asks for the page, not for one more secret.
history.replaceState(null, "", location.pathname);
