const news = new EventSource("/events"), stale = document.getElementById("stale");
news.onmessage = (event) => { document.getElementById("live").innerHTML = event.data; stale.hidden = true; };
news.onerror = () => { stale.hidden = false; };
