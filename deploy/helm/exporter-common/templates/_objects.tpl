{{/* Whole objects that are alike for every exporter. */}}

{{- define "exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "exporter.metadata" (dict "root" . "name" (include "exporter.serviceAccountName" .) "annotations" .Values.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
{{- end -}}
{{- end -}}

{{- define "exporter.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "exporter.metadata" (dict "root" . "labels" .Values.service.labels "annotations" .Values.service.annotations) | nindent 2 }}
spec:
  type: {{ .Values.service.type }}
  selector:
    {{- include "exporter.selectorLabels" . | nindent 4 }}
  ports:
    - name: metrics
      port: {{ .Values.service.port }}
      targetPort: {{ .Values.service.targetPort }}
      protocol: TCP
{{- end -}}

{{/* Takes root and port, the pod's: policies look at packets behind the Service. */}}
{{- define "exporter.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- if $policy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "exporter.metadata" (dict "root" .root) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "exporter.selectorLabels" .root | nindent 6 }}
  policyTypes:
    - Ingress
  ingress:
    - ports:
        - port: {{ .port }}
          protocol: TCP
      from:
        - podSelector: {}
        {{- if $policy.allowMonitoringNamespace }}
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ $policy.monitoringNamespaceName }}
        {{- end }}
{{- end -}}
{{- end -}}

{{- define "exporter.podDisruptionBudget" -}}
{{- with .Values.podDisruptionBudget -}}
{{- if .enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "exporter.metadata" (dict "root" $) | nindent 2 }}
spec:
  {{- if .minAvailable }}
  minAvailable: {{ .minAvailable }}
  {{- else }}
  maxUnavailable: {{ .maxUnavailable }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "exporter.selectorLabels" $ | nindent 6 }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exporter.dashboards" -}}
{{- if .Values.dashboards.enabled -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "exporter.metadata" (dict
    "root" .
    "name" (printf "%s-dashboard" (include "exporter.fullname" .))
    "labels" .Values.dashboards.labels
    "annotations" .Values.dashboards.annotations) | nindent 2 }}
data:
  {{ .Chart.Name }}.json: |
    {{- .Files.Get "files/dashboard.json" | required "files/dashboard.json is missing from the chart" | trim | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "exporter.extraManifests" -}}
{{- range .Values.extraManifests }}
---
{{ tpl (ternary . (toYaml .) (kindIs "string" .)) $ }}
{{- end }}
{{- end -}}

{{/* The pod that `helm test` runs: the exporter's image has no shell, so one with curl asks for /ready. Its labels are not the exporter's: no Service may take it for one. */}}
{{- define "exporter.test" -}}
{{- with .Values.testFramework -}}
{{- if .enabled -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "exporter.fullname" $ | trunc 58 }}-test
  namespace: {{ include "exporter.namespace" $ }}
  labels:
    app.kubernetes.io/name: {{ include "exporter.name" $ | trunc 58 }}-test
    app.kubernetes.io/instance: {{ $.Release.Name }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: curl
      image: {{ include "exporter.image" (dict "root" $ "image" .image) }}
      imagePullPolicy: {{ .image.pullPolicy }}
      securityContext:
        {{- toYaml $.Values.securityContext | nindent 8 }}
      command:
        - curl
      args:
        - --silent
        - --show-error
        - --fail-with-body
        - --insecure
        - --retry-all-errors
        - --retry=12
        - --retry-delay=5
        - {{ include "exporter.web.scheme" $ }}://{{ include "exporter.fullname" $ }}.{{ include "exporter.namespace" $ }}.svc:{{ $.Values.service.port }}/ready
      resources:
        {{- toYaml .resources | nindent 8 }}
{{- end -}}
{{- end -}}
{{- end -}}
